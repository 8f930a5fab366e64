package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.Extent;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.agent.image.VmDefinition;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LazyStartTest {
    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;
    private static final FolderId FOLDER = new FolderId(64769, 4711);
    private static final ImageId ID = new ImageId("default", "web", "uid-1");
    private static final String FROM_IMAGE =
            ",mem-path=/run/torpor-images/uid-1.img,offset=2097152,align=2M,share=off,readonly=on,rom=off";
    private static final String RAM = "memory-backend-file,id=pc.ram,size=4294967296" + FROM_IMAGE;

    private static LazyStart.Image image(List<String> devices, RamBlock... blocks) {
        long memory = 0;
        for (RamBlock block : blocks) {
            memory += block.usedBytes() >= GIB ? block.usedBytes() : 0;
        }
        VmDefinition vm = new VmDefinition(
                "10.0.2", "pc-q35-10.0", 2, "uuid", "qemu64", "kvm", devices, new TreeMap<>(Map.of()), memory);
        ImageHeader header =
                new ImageHeader(ID, ImageMode.SAVE, vm, "qemu-direct", 2, true, 1, true, Instant.EPOCH, Instant.EPOCH);
        return new LazyStart.Image(header, new ImageLayout(1, List.of(blocks), 1, 1, 0, 0, 0), FOLDER);
    }

    private static RamBlock block(String name, long bytes, long offset) {
        return new RamBlock(name, bytes, 4096, new Extent(offset - 4096, 4096), new Extent(offset, bytes));
    }

    private static final LazyStart.Image ONE =
            image(List.of("virtio-blk-pci@03.0"), block("pc.ram", 4 * GIB, 2 * MIB), block("vga.vram", 16 * MIB, 1));
    private static final LazyStart.Image TWO =
            image(List.of(), block("m0", GIB, 2 * MIB), block("m1", 2 * GIB, 1027 * MIB), block("pc.bios", 65536, 1));

    private static Ask ask(String... words) {
        List<String> argv = new ArrayList<>(List.of("/usr/bin/qemu-system-x86_64"));
        argv.addAll(List.of(words));
        return new Ask("ask", argv, Optional.of(new QemuVersion(10, 0)), Optional.of(FOLDER));
    }

    private static List<String> argv(Ask ask, LazyStart.Image image) {
        LazyStart start = LazyStart.of(ask, image);
        assertThat(start).isInstanceOf(LazyStart.Possible.class);
        List<String> argv = ((LazyStart.Possible) start).argv();
        assertThat(argv.getFirst()).isEqualTo("/usr/bin/qemu-system-x86_64");
        return argv.subList(1, argv.size());
    }

    private static String why(Ask ask, LazyStart.Image image) {
        LazyStart start = LazyStart.of(ask, image);
        assertThat(start).isInstanceOf(LazyStart.NotPossible.class);
        return ((LazyStart.NotPossible) start).why();
    }

    @Test
    void ramOfTheMachineGetsABackendOfTheBlocksName() {
        Ask ask = ask(
                "-machine",
                "pc-q35-10.0,accel=kvm",
                "-m",
                "4G,slots=2,maxmem=8G",
                "disk.img",
                "-append",
                "-object memory-backend-ram,id=m0",
                "--nodefaults",
                "-object",
                "iothread,id=io1");
        assertThat(argv(ask, ONE))
                .startsWith(ask.argv().subList(1, ask.argv().size()).toArray(String[]::new))
                .endsWith("-object", "iothread,id=io1", "-machine", "memory-backend=pc.ram", "-object", RAM);
        assertThat(((LazyStart.Possible) LazyStart.of(ask, ONE)).mapped()).containsExactly("pc.ram");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "memory-backend-ram,id=pc.ram,size=4G",
                "memory-backend-ram,size=4294967296,id=pc.ram,share=off",
                "memory-backend-memfd,id=pc.ram,size=4096M",
                "memory-backend-file,id=pc.ram,size=4G,mem-path=/dev/shm/ram,,x,share=off",
                "qom-type=memory-backend-ram,id=pc.ram,size=4g",
                "{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":4294967296}",
                "{\"qom-type\": \"memory-backend-memfd\", \"id\": \"pc.ram\", \"size\": 4294967296, \"share\": true}"
            })
    void ramThatIsNamedIsReplacedAndNotDoubled(String object) {
        for (String machine : List.of("-machine", "--machine", "-M")) {
            for (String option : List.of("-object", "--object")) {
                Ask ask = ask(option, object, machine, "q35,memory-backend=pc.ram", "-m", "4096");
                assertThat(argv(ask, ONE))
                        .containsExactly(option, RAM, machine, "q35,memory-backend=pc.ram", "-m", "4096");
            }
        }
    }

    @Test
    void bothNodesAreMappedAndKeepTheirPolicy() {
        Ask ask = ask(
                "-object",
                "memory-backend-ram,id=m0,size=1G,policy=bind,host-nodes=0-1,merge=off",
                "-object",
                "{\"qom-type\":\"memory-backend-memfd\",\"id\":\"m1\",\"size\":2147483648,"
                        + "\"host-nodes\":[0,2],\"policy\":\"interleave\",\"dump\":false}",
                "-numa",
                "node,nodeid=0,cpus=0-1,memdev=m0",
                "-numa",
                "node,nodeid=1,memdev=m1",
                "-numa",
                "dist,src=0,dst=1,val=20");
        assertThat(argv(ask, TWO))
                .containsExactly(
                        "-object",
                        "memory-backend-file,id=m0,size=1073741824" + FROM_IMAGE
                                + ",policy=bind,host-nodes=0-1,merge=off",
                        "-object",
                        "memory-backend-file,id=m1,size=2147483648"
                                + FROM_IMAGE.replace("offset=2097152", "offset=" + 1027 * MIB)
                                + ",policy=interleave,host-nodes=0,host-nodes=2,dump=off",
                        "-numa",
                        "node,nodeid=0,cpus=0-1,memdev=m0",
                        "-numa",
                        "node,nodeid=1,memdev=m1",
                        "-numa",
                        "dist,src=0,dst=1,val=20");
        assertThat(((LazyStart.Possible) LazyStart.of(ask, TWO)).mapped()).containsExactlyInAnyOrder("m0", "m1");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            -frobnicate x                                                 | option -frobnicate is not one that Torpor knows
            -object=memory-backend-ram,id=m0,size=1G                      | is not one that Torpor knows
            -m                                                            | QEMU's option -m has no value
            -mem-path /dev/hugepages                                      | QEMU is told -mem-path
            -mem-prealloc                                                 | QEMU is told -mem-prealloc
            -readconfig vm.cfg                                            | QEMU is told -readconfig
            -set object.m0.size=1                                         | QEMU is told -set
            -incoming tcp:0:1                                             | QEMU is told -incoming
            -run-with chroot=/jail                                        | changes its root directory
            -overcommit mem-lock=on                                       | lock all of its memory
            -global memory-backend-file.share=on                          | changes memory backends
            -device vhost-user-fs-pci,chardev=c                           | has the device vhost-user-fs-pci
            -device driver=vfio-pci,host=01:00.0                          | has the device vfio-pci
            -device {"driver":"vfio-pci","host":"01:00.0"}                | has the device vfio-pci
            -device {"driver"                                             | is not understood
            -device virtio-mem-pci,memdev=m                               | has the device virtio-mem-pci
            -device virtio-gpu,blob=on                                    | has the device virtio-gpu
            -netdev vhost-user,id=n,chardev=c                             | has a network of type vhost-user
            -netdev {"type":"vhost-vdpa","id":"n"}                        | has a network of type vhost-vdpa
            -machine q35,confidential-guest-support=sev0                  | has the property confidential-guest-support
            -machine {"type":"q35"}                                       | is not understood
            -machine q35,memory-backend=a -M memory-backend=b             | names several memory backends
            -machine q35,memory-backend=gone                              | memory backend gone is not named by -object
            -numa node,mem=2G -numa node,mem=2G                           | names no memory backend
            -numa node -numa node                                         | divides memory that has no backend
            -object {"qom-type":"memory-backend-ram","id":{"a":1}}        | is not understood
            -object memory-backend-ram,id=x,size=1G                       | memory backend x is not the RAM of the machine
            -object memory-backend-ram,id=x,size=1G -M memory-backend=x   | memory backend x is not a RAM block of the image
            """)
    void whatIsNotUnderstoodOrNotPossibleIsSaid(String words, String reason) {
        assertThat(why(ask(words.split(" ", -1)), ONE)).contains(reason);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            memory-backend-epc,id=pc.ram,size=4G                          | is of a type, memory-backend-epc
            memory-backend-ram,id=pc.ram,size=4G,x-odd=1                  | a property that Torpor does not know: x-odd
            memory-backend-memfd,id=pc.ram,size=4G,hugetlb=on             | is of huge pages
            memory-backend-file,id=pc.ram,size=4G,mem-path=/dev/hugepages | is of huge pages
            memory-backend-ram,id=pc.ram,size=4G,prealloc=on              | is to be allocated beforehand
            memory-backend-file,id=pc.ram,size=4G,mem-path=/r,share=on    | is a file that others may share
            memory-backend-ram,id=pc.ram,size=8G                          | has the size 8G, and 4294967296 bytes
            memory-backend-ram,id=pc.ram,size=4Q                          | has the size 4Q
            memory-backend-ram,id=pc.ram                                  | has the size (none)
            """)
    void aBackendThatIsMoreThanPlainMemoryStays(String object, String reason) {
        Ask ask = ask("-object", object, "-machine", "q35,memory-backend=pc.ram");
        assertThat(why(ask, ONE)).startsWith("memory backend pc.ram ").contains(reason);
        Ask twice = ask("-object", "memory-backend-ram,id=pc.ram,size=4G", "-object", object, "-M", "pc");
        assertThat(why(twice, ONE)).isEqualTo("two memory backends have the id 'pc.ram'");
    }

    @Test
    void thePodMustShowItsQemuAndTheFolderOfTheImage() {
        List<String> argv = List.of("qemu-system-x86_64", "-m", "4G");
        Optional<QemuVersion> qemu = Optional.of(new QemuVersion(8, 2));
        Optional<FolderId> folder = Optional.of(FOLDER);
        assertThat(LazyStart.of(new Ask("a", argv, qemu, folder), ONE)).isInstanceOf(LazyStart.Possible.class);
        assertThat(why(new Ask("a", argv), ONE)).contains("version of the pod's QEMU is not known");
        assertThat(why(new Ask("a", argv, Optional.of(new QemuVersion(8, 1)), folder), ONE))
                .isEqualTo("the pod's QEMU is 8.1: it takes 8.2 or newer to map an image");
        assertThat(why(new Ask("a", argv, qemu, Optional.empty()), ONE))
                .isEqualTo("the folder of the VM's images is not mounted in the pod, at /run/torpor-images");
        assertThat(why(new Ask("a", argv, qemu, Optional.of(new FolderId(1, 2))), ONE))
                .contains("is not the folder of the VM's images");
        assertThat(why(new Ask("a", List.of("/entry.sh", "-m", "4G"), qemu, folder), ONE))
                .isEqualTo("the container's command is /entry.sh, not QEMU itself");
    }

    @Test
    void theImagesOwnDevicesAndBlocksCount() {
        assertThat(why(ask("-m", "4G"), image(List.of("pc-dimm"), block("pc.ram", 4 * GIB, 2 * MIB))))
                .isEqualTo("the VM has the device pc-dimm");
        assertThat(why(ask("-m", "3G"), TWO)).isEqualTo("the guest's RAM is not one block of the image");
        // A name that comes from an image must not become a second option.
        assertThat(why(ask("-m", "4G"), image(List.of(), block("a,share=on", 4 * GIB, 2 * MIB))))
                .isEqualTo("the guest's RAM is not one block of the image");
    }

    @Test
    void aReasonIsShortAndPlain() {
        String why = why(ask("-object", "{" + "\u0007ä".repeat(500)), ONE);
        assertThat(why).hasSizeLessThan(320).matches("[ -~]+");
    }
}
