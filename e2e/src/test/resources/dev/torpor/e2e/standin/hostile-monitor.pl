# What a pod may have in the place of QEMU: serves a monitor that wants its client's memory and time.
#   hostile-monitor.pl line|objects|events|silent|asks ...
use strict;
use warnings;
use IO::Socket::UNIX;

# prctl(PR_SET_PDEATHSIG, SIGKILL): whoever is forked ends with the container's process.
sub with_parent { syscall(157, 1, 9, 0, 0, 0) }

my $mode = shift @ARGV;
my $folder = '/run/torpor';
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'DEFAULT';

# Asks that no launcher made, thousands of them, over and over; some large, some with a FIFO that nobody reads.
if ($mode eq 'asks' && fork() == 0) {
    with_parent();
    my $argv = 'cGVybAA=';
    for (my $round = 0; ; $round++) {
        for my $n (1 .. 3000) {
            my $id = sprintf('%08x-0000-4000-8000-%012x', $round % 4, $n);
            open(my $ask, '>', "$folder/ask.$id") or next;
            print $ask "version 1\nid $id\nkind ", ($n % 2 ? 'start' : 'stop'), "\nargv $argv\n";
            print $ask 'x' x (1 << 20) if $n % 100 == 0;
            close($ask);
            system('mkfifo', "$folder/answer.$id") if $round == 0 && $n % 500 == 0;
        }
    }
}

unlink("$folder/qmp.sock");
my $server = IO::Socket::UNIX->new(Local => "$folder/qmp.sock", Listen => 64) or die $!;
print "hostile: $mode\n";
while (1) {
    my $client = $server->accept() or next;
    next if fork();
    with_parent();
    $client->autoflush(1);
    if ($mode eq 'line') {
        print $client '{"QMP":"';
        print $client 'x' x 65536 while 1;
    }
    if ($mode eq 'silent') {
        sleep 600;
    }
    print $client
        '{"QMP":{"version":{"qemu":{"major":10,"minor":0,"micro":2},"package":""},"capabilities":["oob"]}}', "\n";
    while (my $line = <$client>) {
        my ($id) = $line =~ /"id":\s*(\d+)/;
        if ($line =~ /qmp_capabilities/) {
            print $client "{\"return\":{},\"id\":$id}\n";
        } elsif ($mode eq 'events') {
            print $client '{"event":"E","data":{"x":"', 'y' x 1000, "\"}}\n" while 1;
        } else {
            print $client '{"return":[', '{},' x 1_000_000, "{}],\"id\":$id}\n";
        }
    }
    exit 0;
}
