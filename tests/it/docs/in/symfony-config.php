<?php

// config/packages/doctrine.yaml, as a file, is read with what .env says, and its connection kept for symfony.php.

error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/Symfony/Component/Yaml/autoload.php';
require '/usr/share/php/Symfony/Component/Dotenv/autoload.php';

$settings = (new Symfony\Component\Dotenv\Dotenv())->parse(file_get_contents('.env'));
$all = Symfony\Component\Yaml\Yaml::parseFile($argv[1], Symfony\Component\Yaml\Yaml::PARSE_CONSTANT);
$connection = $all['doctrine']['dbal']['connections']['comet'];
array_walk_recursive($connection, function (mixed &$value) use ($settings) {
    if (is_string($value) && preg_match('/^%env\((int:)?(\w+)\)%$/', $value, $found)) {
        $value = $found[1] === '' ? $settings[$found[2]] : (int) $settings[$found[2]];
    }
});
// As DoctrineBundle hands them on.
$connection['serverVersion'] = $connection['server_version'];
$connection['driverOptions'] = $connection['options'];
unset($connection['server_version'], $connection['options']);
file_put_contents('symfony.json', json_encode($connection, JSON_THROW_ON_ERROR));
