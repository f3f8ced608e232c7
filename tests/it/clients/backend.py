"""A backend on one of Python's client libraries, named by the argument. Reads a job, prints what was seen."""

import json
import sys

JOB = json.load(sys.stdin)
ADDRESS = {"host": JOB["host"], "port": JOB["port"], "user": "root", "database": "CometQL_v1"}


class DbApi:
    """What the libraries have in common; a subclass knows how to connect and how its errors are numbered.

    A cursor serves one statement again and again: a prepared one is then prepared once. (A library that closes and
    prepares on each turn, on a socket that waits for acknowledgements, takes 40 ms for each.)
    """

    modes = {"placeholders": {}}

    def __init__(self, password):
        self.connection = self.connect(password)
        self.cursors = {}

    def run(self, mode, sql, values):
        """Rows, or the number of affected rows."""
        if (mode, sql) not in self.cursors:
            self.cursors[mode, sql] = (self.connection.cursor(**self.modes[mode]), sql.replace("?", "%s"))
        # MySQL Connector goes by the identity of the text.
        cursor, text = self.cursors[mode, sql]
        cursor.execute(text, values)
        return [list(row) for row in cursor.fetchall()] if cursor.description else cursor.rowcount

    def code(self, error):
        return error.args[0]


class PyMySql(DbApi):
    def connect(self, password):
        import pymysql

        self.error = pymysql.MySQLError
        return pymysql.connect(password=password, charset="utf8mb4", **ADDRESS)


class MySqlClient(DbApi):
    def connect(self, password):
        import MySQLdb

        self.error = MySQLdb.MySQLError
        return MySQLdb.connect(password=password, charset="utf8mb4", **ADDRESS)


class Connector(DbApi):
    """The library in pure Python, without the C extension that a wheel may bring."""

    modes = {"placeholders": {}, "prepared": {"prepared": True}}

    def connect(self, password):
        import mysql.connector

        self.error = mysql.connector.Error
        return mysql.connector.connect(password=password, use_pure=True, charset="utf8mb4", **ADDRESS)

    def code(self, error):
        return error.errno


class SqlAlchemy:
    modes = {"placeholders": {}}

    def __init__(self, password):
        import sqlalchemy

        self.sqlalchemy = sqlalchemy
        self.error = sqlalchemy.exc.DBAPIError
        url = sqlalchemy.URL.create(
            "mysql+pymysql", "root", password, JOB["host"], JOB["port"], "CometQL_v1", {"charset": "utf8mb4"}
        )
        self.engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
        with self.engine.connect():
            pass

    def run(self, mode, sql, values):
        """Each statement in a transaction of its own, on a connection from the pool."""
        named = {}
        while "?" in sql:
            name = f"value{len(named)}"
            named[name] = values[len(named)]
            sql = sql.replace("?", ":" + name, 1)
        with self.engine.begin() as connection:
            result = connection.execute(self.sqlalchemy.text(sql), named)
            return [list(row) for row in result] if result.returns_rows else result.rowcount

    def code(self, error):
        return error.orig.args[0]


CLIENTS = {"pymysql": PyMySql, "mysqlclient": MySqlClient, "connector": Connector, "sqlalchemy": SqlAlchemy}


def refusal(client, action):
    """The number of the error that this ends in."""
    try:
        action()
    except client.error as error:
        return client.code(error)
    return 0


def use(client, mode, number):
    read = []
    for index, string in enumerate(JOB["strings"]):
        id = number * 1000 + index + 1
        message = (JOB["pipe"], mode, string)
        client.run(mode, "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", message)
        letter = (7000, mode, string)
        client.run(mode, "INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)", letter)
        affected = client.run(mode, "INSERT INTO users_data (id, data) VALUES (?, ?)", (id, string))
        assert affected == 1, f"{mode} {index}: {affected} rows"
        read += client.run(mode, "SELECT data FROM users_data WHERE id = ?", (id,))[0]
    seen = {"read": read}
    wrong = "SELECT id FROM no_such_table WHERE id = ?"
    seen["unknown_table"] = refusal(client, lambda: client.run(mode, wrong, (1,)))
    wrong = "SELECT data FROM users_data WHERE data = ?"
    seen["no_key"] = refusal(client, lambda: client.run(mode, wrong, ("x",)))
    seen["in_a_row"] = 0
    for count in range(100):
        client.run(mode, "INSERT INTO users_data (id, data) VALUES (?, ?)", (5000, f"n{count}"))
        if client.run(mode, "SELECT data FROM users_data WHERE id = ?", (5000,)) != [[f"n{count}"]]:
            break
        seen["in_a_row"] += 1
    return seen


def main():
    kind = CLIENTS[sys.argv[1]]
    # The class of the error is known only to an object that a refused login does not leave behind.
    client = kind(JOB["password"])
    report = {"refused": refusal(client, lambda: kind("wrong"))}
    for number, mode in enumerate(kind.modes):
        report[mode] = use(client, mode, number)
    json.dump(report, sys.stdout)


main()
