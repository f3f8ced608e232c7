"""Goes through the pages of Adminer as somebody with a browser does, and prints what each said.

Argument: the folder with adminer.php. Input: JSON with host, port and password of the server. Output: JSON, for each page
its errors and its text.
"""

import html
import http.cookiejar
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

JOB = json.load(sys.stdin)
SERVER = f"{JOB['host']}:{JOB['port']}"
seen = {}


def main():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    php = subprocess.Popen(
        ["php", "-S", f"127.0.0.1:{port}", "-t", sys.argv[1]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await_port(php, port)
        walk(Browser(f"http://127.0.0.1:{port}/adminer.php"))
    finally:
        php.kill()
        php.wait()
    json.dump(seen, sys.stdout)


def await_port(php, port):
    while True:
        if php.poll() is not None:
            sys.exit("php does not serve")
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)


def walk(browser):
    login = {"auth[driver]": "server", "auth[server]": SERVER, "auth[username]": "root", "auth[db]": ""}
    browser.page("wrong password", {}, {**login, "auth[password]": "wrong"})
    browser.page("login", {}, {**login, "auth[password]": JOB["password"]})
    for name in ["processlist", "variables", "status", "privileges"]:
        browser.page(name, {name: ""})
    for name in ["", "sql", "dump", "schema"]:
        browser.page(f"database {name}".strip(), {"db": "CometQL_v1", name or "refresh": ""})
    for name in ["table", "select", "indexes"]:
        browser.page(f"revoked_tokens {name}", {"db": "CometQL_v1", name: "revoked_tokens"})
    browser.page("connections", {"db": "CometQL_v1", "select": "connections"})
    database = {"db": "CometQL_v1"}
    row = {**database, "edit": "users_auth", "where[id]": "5"}
    browser.page("insert", {**database, "edit": "users_auth"}, {"fields[id]": "5", "fields[hash]": "first"})
    browser.page("edit", row)
    browser.page("save", row, {"fields[id]": "5", "fields[hash]": "second"})
    found = {"where[0][col]": "id", "where[0][op]": "=", "where[0][val]": "5"}
    browser.page("select", {**database, "select": "users_auth", **found})
    for query in ["SELECT 1; SELECT 2 AS two", "UPDATE users_auth SET hash = 'third' WHERE id = 5", "SHOW FULL PROCESSLIST"]:
        browser.page(query, {**database, "sql": ""}, {"query": query, "limit": ""})
    browser.page("delete", row, {"delete": "1"})
    schema = {"db": "information_schema"}
    browser.page("information_schema", schema)
    browser.page("TABLES", {**schema, "select": "TABLES"})
    browser.page("COLUMNS", {**schema, "table": "COLUMNS"})
    export = {"output": "text", "format": "sql", "table_style": "DROP+CREATE", "data_style": "INSERT"}
    browser.page("export", {**database, "dump": ""}, {**export, "tables[]": "users_auth", "data[]": "revoked_tokens"})


class Browser:
    def __init__(self, address):
        self.address = address
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.token = ""

    def page(self, name, query, form=None):
        """Without a form it is opened, with one the form is sent."""
        whole = {"server": SERVER, "username": "root", **query} if query else {}
        address = f"{self.address}?{urllib.parse.urlencode(whole)}"
        body = form and urllib.parse.urlencode({**form, "token": self.token}).encode()
        try:
            text = self.opener.open(address, body).read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            seen[name] = {"errors": [f"{error}"], "text": plain(text)}
            return
        token = re.search(r'name="token" value="([^"]+)"', text)
        self.token = token[1] if token else self.token
        errors = re.findall(r"<p class=['\"]error['\"]>(.*?)(?:</p>|\n)", text, re.S)
        errors += re.findall(r"<b>(?:Warning|Notice|Deprecated|Fatal error)</b>.*?<br", text, re.S)
        seen[name] = {"errors": [plain(error) for error in errors], "text": plain(text)}


def plain(text):
    text = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


main()
