package dev.torpor.agent.launch;

/** The question of a pod's {@code preStop} hook, whether its VM may be ended: asked before the kubelet does. */
public record StopAsk(String id) implements Asked {}
