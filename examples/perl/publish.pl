# Publishes one message: perl publish.pl PIPE EVENT MESSAGE

use v5.24;
use warnings;
use DBI;

die "perl publish.pl PIPE EVENT MESSAGE\n" unless @ARGV == 3;

# Arguments are bytes, and the driver wants characters.
my @row = map { my $text = $_; utf8::decode($text); $text } @ARGV;
my $host = $ENV{COMET_HOST} // '127.0.0.1';
my $port = $ENV{COMET_PORT} // 3300;
my $comet = DBI->connect("DBI:MariaDB:database=CometQL_v1;host=$host;port=$port", 'root', password(), { RaiseError => 1, PrintError => 0 });
# Placeholders, so that no message can be taken for SQL.
$comet->do('INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)', undef, @row);
$comet->disconnect;

sub password {
    return $ENV{COMET_PASSWORD} if defined $ENV{COMET_PASSWORD};
    my $path = $ENV{COMET_PASSWORD_FILE} // 'data/cometql.password';
    open my $file, '<', $path or die "$path: $!\n";
    chomp(my $password = <$file>);
    return $password;
}
