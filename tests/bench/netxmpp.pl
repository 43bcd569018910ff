# The client of the system before this one, Net::XMPP, as a program: netxmpp.pl echo|drive HOST PORT CA ME PEER PASSWORD.
# It speaks as driver.py says. Certificates are not checked: XML::Stream trusts only a directory of hashed files.
# Drives as driver.py does: refills what came back until the time is over, then lets the rest come in.
use strict;
use warnings;
use Net::XMPP;
use Time::HiRes qw(time);

my ($role, $host, $port, $ca, $me, $peer, $password) = @ARGV;
my ($jid, $resource) = split m{/}, $me;
my ($user, $domain) = split /@/, $jid;
my ($count, $out, $over, $end, $text) = (0, 0, 1, 0, "");

my $client = Net::XMPP::Client->new();
$client->SetCallBacks(message => sub {
    my ($sid, $message) = @_;
    if ($role eq "echo") {
        $client->MessageSend(to => $message->GetFrom(), body => $message->GetBody());
        return;
    }
    return $out-- if $over || ($over = time >= $end);
    $count++;
    $client->MessageSend(to => $peer, body => $text);
});
{
    local $SIG{__WARN__} = sub { };    # XML::Stream's own
    $client->Connect(hostname => $host, port => $port, componentname => $domain, tls => 1, ssl_verify => 0,
        timeout => 10) or die "no connection: " . ($client->GetErrorCode() // "");
    my @answer = $client->AuthSend(username => $user, password => $password, resource => $resource);
    die "no login: @answer" if $answer[0] ne "ok";
}
$client->PresenceSend();
$| = 1;
print "ready\n";
if ($role eq "echo") {
    1 while defined $client->Process();
    exit;
}
while (defined(my $line = <STDIN>)) {
    my ($body, $window, $seconds) = split ' ', $line;
    ($count, $out, $over, $text) = (0, $window, 0, "x" x $body);
    $end = time + $seconds;
    $client->MessageSend(to => $peer, body => $text) for 1 .. $window;
    # XML::Stream drops what it cannot write at once; a second without anything is the end of it.
    my $last = -1;
    while ($out > 0) {
        defined $client->Process(1) or die "cut";
        last if $over && $last == $out;
        $last = $out if $over;
        $over = 1 if time >= $end;
    }
    print "$count $seconds\n";
}
