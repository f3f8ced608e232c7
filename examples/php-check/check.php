<?php

/*
 * Can this hosting reach the comet server, and by which way? Fill in the four lines below, put this one file on the hosting
 * where your site is, open it in a browser (or run: php check.php), read what it says, and remove it again.
 *
 * It publishes nothing and shows no password. It is written for PHP 5.6 and later, because hostings are old.
 */

$settings = array(
    'host' => '127.0.0.1',             // where CometQL listens, as the hosting sees it
    'port' => '3300',                  // [cometql] port
    'password' => '',                  // of the server, or of a tenant
    'url' => 'http://127.0.0.1:8087',  // where browsers connect
    'user' => 'root',                  // or a tenant's number
);
foreach (array_keys($settings) as $name) {
    $given = getenv('COMET_' . strtoupper($name));
    if ($given !== false && $given !== '') {
        $settings[$name] = $given;
    }
}

if (PHP_SAPI !== 'cli') {
    header('Content-Type: text/plain; charset=utf-8');
    header('Cache-Control: no-store');
}
set_time_limit(120);
$problems = array();
$ways = array();

function line($state, $what, $words)
{
    printf("%-5s %-24s %s\n", $state, $what, $words);
}

function ms($since)
{
    return number_format((microtime(true) - $since) * 1000, 1, '.', '') . ' ms';
}

// ---- what PHP has

line('', 'PHP', PHP_VERSION . ', ' . PHP_SAPI);
$has = array();
foreach (array('mysqli', 'pdo_mysql', 'openssl', 'curl', 'json') as $extension) {
    $has[$extension] = extension_loaded($extension);
    line($has[$extension] ? 'ok' : 'no', $extension, $has[$extension] ? '' : 'the extension is not loaded');
}
$streams = filter_var(ini_get('allow_url_fopen'), FILTER_VALIDATE_BOOLEAN);
line($streams ? 'ok' : 'no', 'allow_url_fopen', $streams ? '' : 'PHP may not open addresses without curl');

// ---- the way to CometQL

$host = $settings['host'];
$port = (int) $settings['port'];
$reached = false;
$address = filter_var($host, FILTER_VALIDATE_IP) ? $host : gethostbyname($host);
if (!filter_var($address, FILTER_VALIDATE_IP)) {
    line('no', 'name of the host', "$host is not known here");
    $problems[] = "The hosting does not know the name $host: try the address instead.";
} else {
    $since = microtime(true);
    $socket = function_exists('fsockopen') ? @fsockopen($host, $port, $number, $text, 5) : false;
    if (!$socket) {
        $why = isset($text) && $text !== '' ? $text : 'fsockopen is switched off';
        line('no', 'TCP', "$host ($address), port $port: $why, after " . ms($since));
        $problems[] = "No connection to $host, port $port. Either CometQL listens on 127.0.0.1 only ([cometql] ip), or a firewall "
            . 'is between, or the hosting lets nothing out to this port: many let out 80, 443 and 3306 only. Then have CometQL '
            . 'listen on 3306, or take POST /cometql.';
    } else {
        line('ok', 'TCP', "$host ($address), port $port, in " . ms($since));
        stream_set_timeout($socket, 5);
        $greeting = (string) fread($socket, 256);
        fclose($socket);
        $version = strlen($greeting) > 5 ? strtok(substr($greeting, 5), "\0") : '';
        $reached = strpos($version, 'Encke') !== false;
        if ($reached) {
            line('ok', 'greeting', "$version, after " . ms($since));
        } elseif ($greeting === '') {
            line('no', 'greeting', 'nothing was said in five seconds');
            $problems[] = 'The connection is open and nothing comes: a proxy or a firewall of the hosting is between.';
        } else {
            line('no', 'greeting', $version === '' ? 'this is not CometQL' : "this is not CometQL but $version");
            $problems[] = "Something else answers at $host, port $port: perhaps the hosting's own database.";
        }
    }
}

// ---- a session

function explained($number, $text)
{
    if ($number === 1045) {
        return 'The password or the user is wrong, or this address sent too many wrong passwords: wait a minute.';
    }
    if ($number === 16) {
        return 'The server takes logins with TLS only ([cometql] tls = required), or the address has to wait: see its text above.';
    }
    return "CometQL refuses the session: $number $text";
}

if ($settings['password'] === '') {
    line('no', 'password', 'none is given');
    $problems[] = 'Without the password no session can be tried: fill it in at the top of this file.';
} elseif ($reached) {
    if ($has['mysqli']) {
        mysqli_report(MYSQLI_REPORT_OFF);
        foreach (array('mysqli' => 0, 'mysqli with TLS' => MYSQLI_CLIENT_SSL) as $name => $flags) {
            if ($flags !== 0 && !$has['openssl']) {
                continue;
            }
            $session = mysqli_init();
            mysqli_options($session, MYSQLI_OPT_CONNECT_TIMEOUT, 5);
            if ($flags !== 0 && defined('MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT')) {
                $flags |= MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT;
            }
            $since = microtime(true);
            if (!@mysqli_real_connect($session, $host, $settings['user'], $settings['password'], null, $port, null, $flags)) {
                $number = mysqli_connect_errno();
                $text = mysqli_connect_error();
                if ($flags !== 0 && isset($ways['mysqli'])) {
                    line('-', $name, 'the server offers none ([cometql] tls)');
                } else {
                    line('no', $name, "$number $text");
                    $problems[] = explained($number, $text);
                }
                continue;
            }
            $login = ms($since);
            $since = microtime(true);
            $answer = mysqli_query($session, 'SELECT 1');
            $row = $answer ? mysqli_fetch_row($answer) : null;
            mysqli_close($session);
            if (!$row) {
                line('no', $name, 'a session, but no answer');
                continue;
            }
            line('ok', $name, "login in $login, a statement in " . ms($since));
            $ways[$name] = $name;
        }
    }
    if ($has['pdo_mysql']) {
        $since = microtime(true);
        try {
            $options = array(PDO::ATTR_TIMEOUT => 5, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION);
            $pdo = new PDO("mysql:host=$host;port=$port;charset=utf8mb4", $settings['user'], $settings['password'], $options);
            $pdo->query('SELECT 1')->fetchAll();
            line('ok', 'PDO', 'login and a statement in ' . ms($since));
            $ways['PDO'] = 'PDO';
        } catch (PDOException $error) {
            line('no', 'PDO', $error->getMessage());
        }
    }
}

// ---- the same by HTTP

/** Status and body; 0 without an answer, and the reason as the body. */
function ask($url, $headers, $body)
{
    if (function_exists('curl_init')) {
        $curl = curl_init($url);
        curl_setopt_array($curl, array(
            CURLOPT_RETURNTRANSFER => true, CURLOPT_CONNECTTIMEOUT => 5, CURLOPT_TIMEOUT => 15, CURLOPT_HTTPHEADER => $headers,
        ));
        if ($body !== null) {
            curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        }
        $text = curl_exec($curl);
        return $text === false ? array(0, curl_error($curl)) : array((int) curl_getinfo($curl, CURLINFO_HTTP_CODE), $text);
    }
    $http = array('method' => $body === null ? 'GET' : 'POST', 'header' => implode("\r\n", $headers), 'timeout' => 15,
        'ignore_errors' => true);
    if ($body !== null) {
        $http['content'] = $body;
    }
    $text = @file_get_contents($url, false, stream_context_create(array('http' => $http)));
    if ($text === false) {
        $error = error_get_last();
        return array(0, isset($error['message']) ? $error['message'] : 'no answer');
    }
    // PHP sets this variable where the stream is opened.
    $status = isset($http_response_header[0]) ? explode(' ', $http_response_header[0]) : array();
    return array(isset($status[1]) ? (int) $status[1] : 0, $text);
}

$url = rtrim($settings['url'], '/');
if (!$has['curl'] && !$streams) {
    line('no', 'HTTP', 'neither curl nor allow_url_fopen');
} else {
    $since = microtime(true);
    list($status, $text) = ask("$url/health", array(), null);
    if ($status === 0) {
        line('no', "$url/health", $text);
        $problems[] = "The hosting gets no answer from $url. (Browsers may still reach it: they do not come from the hosting.)";
    } else {
        line($status === 200 ? 'ok' : 'no', "$url/health", $status . ' ' . trim(substr($text, 0, 60)) . ', in ' . ms($since));
    }
    if ($status !== 0 && $settings['password'] !== '') {
        $since = microtime(true);
        $headers = array('Authorization: Bearer ' . $settings['password'], 'Content-Type: text/plain');
        $user = rawurlencode($settings['user']);
        list($status, $text) = ask("$url/cometql?user=$user", $headers, 'SELECT 1');
        if ($status === 200 && strpos($text, '"results"') !== false) {
            line('ok', 'POST /cometql', 'a statement in ' . ms($since));
            $ways['POST'] = "POST $url/cometql";
        } else {
            line('no', 'POST /cometql', $status . ' ' . trim(substr($text, 0, 100)));
            if ($status === 403) {
                $problems[] = 'POST /cometql is for programs on the server\'s own machine unless [ws] cometql = on is set; do that '
                    . 'only behind a proxy with TLS, and let the hosting ask an https address.';
            } elseif ($status === 401) {
                $problems[] = 'POST /cometql says that the password is wrong.';
            }
        }
        if (isset($ways['POST']) && strpos($url, 'http://') === 0 && !preg_match('#^http://(127\.|localhost|\[::1\])#', $url)) {
            $problems[] = 'Over http:// the password crosses the network as it is: take an https address.';
        }
    }
}

// ---- what follows from it

echo "\n";
foreach (array_unique($problems) as $problem) {
    echo '* ', wordwrap($problem, 110, "\n  "), "\n";
}
$is_near = preg_match('/^(127\.|localhost$|::1$)/', $host);
if (isset($ways['mysqli']) || isset($ways['PDO']) || isset($ways['mysqli with TLS'])) {
    $way = isset($ways['PDO']) ? 'PDO' : (isset($ways['mysqli']) ? 'mysqli' : 'mysqli with TLS');
    echo "Publish with $way: host $host, port $port, user {$settings['user']}.\n";
    if (!$is_near && !isset($ways['mysqli with TLS'])) {
        echo "The host is another machine: set [cometql] tls = required there, or the password crosses the network unenciphered.\n";
    }
} elseif (isset($ways['POST'])) {
    echo "MySQL sessions do not work from here. Publish with {$ways['POST']} and the password as a bearer token.\n";
} else {
    echo "No way works yet: mend what is told above, and open this page again.\n";
}
echo "Pages connect to $url, from the visitor's browser and not from the hosting.\n";
echo "Remove this file when you are done.\n";
exit(PHP_SAPI === 'cli' && !$ways ? 1 : 0);
