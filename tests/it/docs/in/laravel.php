<?php

// A block in a controller of Laravel: the connection of laravel-config.php, the service app/Services/Comet.php as $comet, and
// a database of the site's own. The service must have published when the block is done, and not before the commit.

error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/Illuminate/Database/autoload.php';
require '/usr/share/php/Illuminate/Events/autoload.php';

use Illuminate\Container\Container;
use Illuminate\Database\Capsule\Manager;
use Illuminate\Database\DatabaseTransactionsManager;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Facade;

$container = new Container();
$container->instance('db.transactions', new DatabaseTransactionsManager());
$manager = new Manager($container);
foreach (json_decode(file_get_contents('laravel.json'), true) as $name => $connection) {
    $manager->addConnection($connection, $name);
}
$manager->addConnection(['driver' => 'sqlite', 'database' => ':memory:'], 'default');
$container->instance('db', $manager->getDatabaseManager());
Facade::setFacadeApplication($container);
$manager->getConnection('default')->setTransactionManager($container->make('db.transactions'));
DB::statement('CREATE TABLE orders (id INTEGER PRIMARY KEY, title TEXT)');

/** As Laravel reports what a controller went on without; that must be what is expected here, and nothing else. */
$expected = '/^$/';
function report(Throwable $error): void
{
    if (!preg_match($GLOBALS['expected'], $error->getMessage())) {
        throw $error;
    }
}

$fail = fn (string $why) => throw new RuntimeException($why);
DB::connection('comet')->table('pipes_settings')->upsert([['name' => 'orders', 'length' => 10]], ['name'], ['length']);
$kept = fn () => DB::connection('comet')->table('pipes_messages')->where('name', 'orders')->pluck('message')->all();

require 'app/Services/Comet.php';
$comet = new App\Services\Comet();
require getcwd() . '/' . $argv[1];
$kept() === ['{"id":1}'] || $fail('after the block there is ' . json_encode($kept()));

try {
    DB::transaction(function () use ($comet, $fail) {
        $comet->publish('orders', 'added', ['id' => 2]);
        $fail('rolled back');
    });
} catch (RuntimeException) {
}
$kept() === ['{"id":1}'] || $fail('what was rolled back was published');

$keys = [$comet->key(9), $comet->key(9)];
$hash = DB::connection('comet')->table('users_auth')->where('id', 9)->value('hash');
$hash === $keys[1] || $fail("the key is $hash");
DB::connection('comet')->table('users_auth')->where('id', 9)->delete();
DB::connection('comet')->table('users_auth')->where('id', 9)->get()->isEmpty() || $fail('the key was not deleted');

// A server that says nothing, and one that is not there.
$silent = stream_socket_server('tcp://127.0.0.1:0');
$port = (int) substr(strrchr(stream_socket_get_name($silent, false), ':'), 1);
foreach ([$port => '/gone away/', 9 => '/Connection refused/'] as $port => $expected) {
    DB::purge('comet');
    $manager->addConnection(['port' => $port] + json_decode(file_get_contents('laravel.json'), true)['comet'], 'comet');
    @$comet->publish('orders', 'added', ['id' => 3]);
}
