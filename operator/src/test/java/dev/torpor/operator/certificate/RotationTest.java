package dev.torpor.operator.certificate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.operator.certificate.RotationAction.Create;
import dev.torpor.operator.certificate.RotationAction.Prepare;
import dev.torpor.operator.certificate.RotationAction.Promote;
import dev.torpor.operator.certificate.RotationAction.Publish;
import dev.torpor.operator.certificate.RotationAction.Trim;
import dev.torpor.operator.certificate.RotationAction.Wait;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfigurationBuilder;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Each state of an exchange, and the step that it leads to. */
class RotationTest {
    private static final List<String> NAMES = List.of("hook.ns.svc");
    private static final Instant BORN = Instant.parse("2026-01-01T00:00:00Z");
    private static final Generation OLD = new GenerationFactory().make(NAMES, BORN);
    private static final Generation NEW = new GenerationFactory().make(NAMES, BORN.plus(Duration.ofDays(300)));
    private static final Instant YOUNG = BORN.plus(Duration.ofDays(10));
    private static final Instant LATE = BORN.plus(Duration.ofDays(300));

    private static final StoredCertificates FIRST = StoredCertificates.first(OLD);
    private static final StoredCertificates PREPARED = FIRST.preparing(NEW);
    private static final StoredCertificates PROMOTED = PREPARED.promoted(LATE);

    @Test
    void noSecretIsMade() {
        assertThat(Rotation.decide(
                        new RotationView(YOUNG, NAMES, Optional.empty(), List.of(bundle()), Optional.empty())))
                .isEqualTo(new Create());
    }

    @Test
    void youngCertificateThatIsTrustedIsLeftAloneUntilAThirdOfItsLifeIsLeft() {
        assertThat(decide(YOUNG, FIRST, authorities(OLD)))
                .isEqualTo(new Wait(OLD.expiry().minus(Rotation.RENEW_BEFORE)));
    }

    @Test
    void bundleThatLacksTheAuthorityIsWrittenFirst() {
        Bundle empty = bundle();
        assertThat(Rotation.decide(new RotationView(
                        LATE, NAMES, Optional.of(FIRST), List.of(authorities(OLD), empty), Optional.empty())))
                .isEqualTo(new Publish(FIRST, List.of(empty)));
    }

    @Test
    void bundleWithAStrangerIsWrittenAnew() {
        assertThat(decide(YOUNG, FIRST, authorities(OLD, NEW))).isInstanceOf(Publish.class);
    }

    @Test
    void oneWebhookOfSeveralWithoutTheAuthorityMakesTheConfigurationOutdated() {
        Bundle half = new Bundle(
                new MutatingWebhookConfigurationBuilder().build(), List.of(Set.of(OLD.authority()), Set.of()));
        assertThat(decide(YOUNG, FIRST, half)).isInstanceOf(Publish.class);
    }

    @Test
    void oldCertificateGetsANextOne() {
        assertThat(decide(LATE, FIRST, authorities(OLD)))
                .isEqualTo(new Prepare(FIRST, "it ends at 2027-01-01T00:00:00Z"));
    }

    @Test
    void certificateForOtherNamesGetsANextOne() {
        RotationView view = new RotationView(
                YOUNG, List.of("other.ns.svc"), Optional.of(FIRST), List.of(authorities(OLD)), Optional.of(YOUNG));
        assertThat(Rotation.decide(view)).isEqualTo(new Prepare(FIRST, "it is not for [other.ns.svc]"));
    }

    @Test
    void whoAsksForItGetsANextOne() {
        StoredCertificates asked = new StoredCertificates(OLD, Optional.empty(), Optional.empty(), true);
        assertThat(decide(YOUNG, asked, authorities(OLD)))
                .isEqualTo(new Prepare(asked, "annotation torpor.dev/rotate asks for it"));
        assertThat(asked.preparing(NEW).rotationAsked()).isFalse();
    }

    @Test
    void nextOneIsPublishedBesideTheCurrentOne() {
        assertThat(decide(LATE, PREPARED, authorities(OLD)))
                .isInstanceOfSatisfying(
                        Publish.class, publish -> assertThat(publish.stored().authorities())
                                .containsExactly(OLD.authority(), NEW.authority()));
    }

    @Test
    void nextOneIsServedOnceAllHaveTrustedItForAWhile() {
        Bundle both = authorities(OLD, NEW);
        Instant settled = LATE.plus(Rotation.SETTLE);
        assertThat(decideTrustedSince(LATE, LATE, PREPARED, both)).isEqualTo(new Wait(settled));
        assertThat(decideTrustedSince(settled.minusMillis(1), LATE, PREPARED, both))
                .isEqualTo(new Wait(settled));
        assertThat(decideTrustedSince(settled, LATE, PREPARED, both)).isEqualTo(new Promote(PREPARED));
    }

    @Test
    void nextOneIsServedAtOnceIfTheCurrentOneHasEnded() {
        Instant ended = OLD.expiry();
        assertThat(decideTrustedSince(ended, ended, PREPARED, authorities(OLD, NEW)))
                .isEqualTo(new Promote(PREPARED));
    }

    @Test
    void nextOneThatGrewOldWhileNobodyLookedIsReplaced() {
        Instant muchLater = NEW.expiry().minus(Duration.ofDays(1));
        assertThat(decideTrustedSince(muchLater, muchLater, PREPARED, authorities(OLD, NEW)))
                .isInstanceOf(Prepare.class);
    }

    @Test
    void previousAuthorityIsTrustedUntilAllReplicasHaveHadTime() {
        Bundle both = authorities(OLD, NEW);
        Instant trim = LATE.plus(Rotation.TRIM_AFTER);
        assertThat(decide(LATE, PROMOTED, both)).isEqualTo(new Wait(trim));
        assertThat(decide(trim, PROMOTED, both)).isEqualTo(new Trim(PROMOTED));
    }

    @Test
    void trimmedAuthorityLeavesTheBundles() {
        assertThat(decide(LATE, PROMOTED.trimmed(), authorities(OLD, NEW)))
                .isInstanceOfSatisfying(
                        Publish.class,
                        publish -> assertThat(publish.stored().authorities()).containsExactly(NEW.authority()));
    }

    @Test
    void configurationsThatAreNotThereHoldNothingUp() {
        assertThat(Rotation.decide(new RotationView(
                        LATE.plus(Rotation.SETTLE), NAMES, Optional.of(PREPARED), List.of(), Optional.of(LATE))))
                .isEqualTo(new Promote(PREPARED));
    }

    @Test
    void processThatJustStartedWaitsAgainBeforeItServesTheNextOne() {
        assertThat(Rotation.decide(new RotationView(
                        LATE, NAMES, Optional.of(PREPARED), List.of(authorities(OLD, NEW)), Optional.empty())))
                .isEqualTo(new Wait(LATE.plus(Rotation.SETTLE)));
    }

    private static RotationAction decide(Instant now, StoredCertificates stored, Bundle bundle) {
        return decideTrustedSince(now, now, stored, bundle);
    }

    private static RotationAction decideTrustedSince(
            Instant now, Instant trustedSince, StoredCertificates stored, Bundle bundle) {
        return Rotation.decide(
                new RotationView(now, NAMES, Optional.of(stored), List.of(bundle), Optional.of(trustedSince)));
    }

    private static Bundle authorities(Generation... generations) {
        return bundle(List.of(generations).stream().map(Generation::authority).toArray(X509Certificate[]::new));
    }

    private static Bundle bundle(X509Certificate... trusted) {
        return new Bundle(new MutatingWebhookConfigurationBuilder().build(), List.of(Set.of(trusted)));
    }
}
