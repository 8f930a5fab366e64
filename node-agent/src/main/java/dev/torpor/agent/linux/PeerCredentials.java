package dev.torpor.agent.linux;

/**
 * Who called listen(2), or connect(2), on the other end of a UNIX socket (SO_PEERCRED of unix(7)).
 *
 * @param pid process id in the agent's pid namespace; 0 if the process is not visible from it
 * @param uid numeric user
 */
public record PeerCredentials(int pid, int uid) {}
