# Stands in the place of QEMU in a VM's pod: perl monitor.pl MODE ... unix:SOCKET,...
# MODE none: makes no socket; silent: takes connections and says nothing; http: speaks something else; old: a QMP
# monitor of a QEMU without multifd. Needs Debian's perl-base only.
use strict;
use warnings;
use Socket;

my $mode = shift;
my ($path) = map { /^unix:([^,]+)/ ? $1 : () } @ARGV;
$| = 1;
print "monitor: $mode\n";
if ($mode eq 'none') { sleep while 1; }

my %answers = (
    'qmp_capabilities'           => '{}',
    'query-memory-size-summary'  => '{"base-memory": 134217728, "plugged-memory": 0}',
    'query-cpus-fast'            => '[{"cpu-index": 0, "qom-path": "/machine/unattached/device[0]"}]',
    'query-uuid'                 => '{"UUID": "00000000-0000-0000-0000-000000000000"}',
    'query-kvm'                  => '{"enabled": false, "present": false}',
    'qom-get'                    => '"pc-q35-3.1-machine"',
    'qom-list'                   => '[]',
    'human-monitor-command'      => '"Block Name    PSize              Offset               Used              Total                HVA\r\n'
        . '            pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007f0000000000  rw\r\n"',
    'query-migrate-capabilities' => '[{"capability": "events", "state": false}]',
    'query-migrate-parameters'   => '{"max-bandwidth": 134217728}',
    'query-status'               => '{"status": "running", "running": true, "singlestep": false}',
    'query-migrate'              => '{}',
);

unlink $path;
socket(my $server, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($server, sockaddr_un($path)) or die "bind $path: $!";
listen($server, 5) or die "listen: $!";
while (accept(my $client, $server)) {
    select($client); $| = 1; select(STDOUT);
    if ($mode eq 'silent') {
        while (<$client>) { }
    } elsif ($mode eq 'http') {
        print $client "HTTP/1.1 400 Bad Request\r\n\r\n";
    } else {
        print $client '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 1, "major": 3}, "package": ""}, "capabilities": []}}' . "\r\n";
        while (my $line = <$client>) {
            my ($command) = $line =~ /"execute"\s*:\s*"([^"]+)"/;
            my ($id) = $line =~ /"id"\s*:\s*(\d+)/;
            my $answer = $answers{$command};
            print $client defined $answer
                ? "{\"return\": $answer, \"id\": $id}\r\n"
                : "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"$command\"}, \"id\": $id}\r\n";
        }
    }
    close $client;
}
