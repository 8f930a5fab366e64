package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RunState;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.agent.node.VmMonitor;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.List;

/** A real QEMU, by the monitor in its pod's volume. */
record QemuVm(VmMonitor monitor) implements Vm {
    /** The QEMUs in the pods of this node. */
    record OfNode(PodDirectories pods) implements Vms {
        @Override
        public Vm connect(String podUID) throws TorporException {
            return new QemuVm(VmMonitor.connect(pods, podUID, QmpLimits.DEFAULT));
        }

        @Override
        public boolean isAlive(ProcessIdentity process) throws IOException {
            return VmMonitor.isAlive(process);
        }
    }

    @Override
    public ProcessIdentity process() {
        return monitor.process();
    }

    @Override
    public VmFacts probe() throws TorporException {
        return QemuProbe.probe(monitor.qmp());
    }

    @Override
    public List<String> blockedReasons() throws TorporException {
        return QemuProbe.blockedReasons(monitor.qmp());
    }

    @Override
    public RunState runState() throws TorporException {
        return Guest.runState(monitor.qmp());
    }

    @Override
    public boolean wasFed() throws TorporException {
        String status = monitor.qmp().execute("query-migrate").path("status").asText("none");
        return !status.equals("none");
    }

    @Override
    public void pause() throws TorporException {
        var _ = Guest.pause(monitor.qmp());
    }

    @Override
    public void resume() throws TorporException {
        Guest.resume(monitor.qmp());
    }

    @Override
    public void quit() throws TorporException {
        Guest.quit(monitor.qmp());
    }

    @Override
    public void announce() throws TorporException {
        Guest.announce(monitor.qmp());
    }

    @Override
    public SaveReport save(SavePlan plan, ImageFiles files, Cancellation cancellation, ProgressListener listener)
            throws TorporException {
        return QemuDirectEngine.save(
                monitor.qmp(), plan, files.all(), ImageHeader.STREAM_OFFSET_BYTES, cancellation, listener);
    }

    @Override
    public LoadReport load(VmFacts target, ImageFiles files, Cancellation cancellation, ProgressListener listener)
            throws TorporException {
        return QemuDirectEngine.load(
                monitor.qmp(), target, files.all(), ImageHeader.STREAM_OFFSET_BYTES, cancellation, listener);
    }

    @Override
    public void settle() throws TorporException {
        QemuDirectEngine.settle(monitor.qmp());
    }

    @Override
    public void close() {
        monitor.close();
    }
}
