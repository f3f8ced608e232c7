"""The exercise of an application with Django: reads a job on standard input, prints what it saw as JSON."""

import json
import sys

import django
from django.conf import settings

JOB = json.load(sys.stdin)
DATABASE = {
    "ENGINE": "django.db.backends.mysql",
    "NAME": "CometQL_v1",
    "USER": "root",
    "PASSWORD": JOB["password"],
    "HOST": JOB["host"],
    "PORT": str(JOB["port"]),
}
settings.configure(DATABASES={"default": DATABASE}, USE_TZ=True)
django.setup()

from django.db import DatabaseError, connection, models, transaction  # noqa: E402


class Login(models.Model):
    id = models.IntegerField(primary_key=True)
    hash = models.CharField(max_length=32)

    class Meta:
        managed = False
        app_label = "comet"
        db_table = "users_auth"


def publish():
    with connection.cursor() as cursor:
        publish = "INSERT INTO pipes_messages (name, event, message) VALUES (%s, %s, %s)"
        cursor.execute(publish, [JOB["pipe"], JOB["event"], JOB["string"]])


with transaction.atomic():
    Login(id=9101, hash="first").save(force_insert=True)
    with transaction.atomic():
        publish()

try:
    with transaction.atomic():
        affected = Login.objects.filter(id=9101).update(hash="second")
        raise ValueError
except ValueError:
    pass

try:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM no_such_table WHERE id = 1")
    unknown_table = 0
except DatabaseError as error:
    unknown_table = error.args[0]

seen = {
    "affected": affected,
    "hash": Login.objects.get(pk=9101).hash,
    "tables": "users_auth" in connection.introspection.table_names(),
    "unknown_table": unknown_table,
}
json.dump(seen, sys.stdout)
