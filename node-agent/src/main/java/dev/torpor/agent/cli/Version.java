package dev.torpor.agent.cli;

import dev.torpor.agent.image.ImageHeader;
import java.util.Objects;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} prints. */
final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
        return new String[] {"torpor-agent " + release() + ", image format " + ImageHeader.FORMAT_VERSION};
    }

    static String release() {
        return Objects.requireNonNullElse(Version.class.getPackage().getImplementationVersion(), "(built from source)");
    }
}
