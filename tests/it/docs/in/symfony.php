<?php

// A service of Symfony, as a file, with the connection of symfony-config.php: it publishes, counts, and outlives a server
// that is away.

namespace Psr\Log {
    interface LoggerInterface
    {
        public function warning(string|\Stringable $message, array $context = []): void;
    }
}

namespace {
    error_reporting(E_ALL & ~E_DEPRECATED);
    require '/usr/share/php/Doctrine/DBAL/autoload.php';

    final class Log implements Psr\Log\LoggerInterface
    {
        public int $warnings = 0;

        public function warning(string|\Stringable $message, array $context = []): void
        {
            $this->warnings++;
        }
    }

    $fail = fn (string $why) => throw new RuntimeException($why);
    $parameters = json_decode(file_get_contents('symfony.json'), true);
    $connect = fn (array $changed) => Doctrine\DBAL\DriverManager::getConnection($changed + $parameters);
    require getcwd() . '/' . $argv[1];
    $log = new Log();
    $comet = new App\Comet($connect([]), $log);
    $connect([])->insert('pipes_settings', ['name' => 'symfony', 'length' => 10]);
    $comet->publish('symfony', 'added', ['id' => 1]) || $fail('it did not publish');
    $kept = $connect([])->fetchFirstColumn('SELECT message FROM pipes_messages WHERE name = ?', ['symfony']);
    $kept === ['{"id":1}'] || $fail('there is ' . json_encode($kept));
    $comet->listeners('symfony') === 0 || $fail('somebody listens');
    $log->warnings === 0 || $fail('it warned');
    // One that is not there, and one that says nothing.
    $silent = stream_socket_server('tcp://127.0.0.1:0');
    $port = (int) substr(strrchr(stream_socket_get_name($silent, false), ':'), 1);
    foreach ([9, $port] as $number => $port) {
        $away = new App\Comet($connect(['port' => $port]), $log);
        @$away->publish('symfony', 'added', ['id' => 2]) && $fail('it published to nobody');
        $log->warnings === $number + 1 || $fail('it did not warn');
    }
}
