#include "raw_brokers.h"

#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *connected(const char *url) {
    PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) == CONNECTION_OK) return connection;
    PQfinish(connection);
    return NULL;
}

static int command(PGconn *connection, const char *text) {
    PGresult *result = PQexec(connection, text);
    int isDone = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return isDone;
}

const char *raw_postgres_consume(const char *url, const char *channel, int count, void *context, raw_ready ready, raw_heard heard) {
    PGconn *connection = connected(url);
    if (!connection) return "no connection";
    char text[200];
    snprintf(text, sizeof text, "LISTEN \"%s\"", channel);
    if (!command(connection, text)) return "can't listen";
    ready(context);
    struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
    for (int index = 0; index < count;) {
        if (poll(&wait, 1, -1) < 0 || !PQconsumeInput(connection)) return "nothing more comes";
        for (PGnotify *notify; (notify = PQnotifies(connection)); PQfreemem(notify), index++)
            heard(context, strtoull(notify->extra, NULL, 10));
    }
    PQfinish(connection);
    return NULL;
}

const char *raw_postgres_publish(const char *url, const char *channel, int count, int rate) {
    PGconn *connection = connected(url);
    if (!connection) return "no connection";
    uint64_t start = raw_now();
    for (int index = 0; index < count; index++) {
        raw_pace(start, index, rate);
        // The time in 20 digits, and filling to 100 bytes.
        char text[200];
        snprintf(text, sizeof text, "NOTIFY \"%s\", '%020llu %079d'", channel, (unsigned long long)raw_now(), 0);
        if (!command(connection, text)) return "can't notify";
    }
    PQfinish(connection);
    return NULL;
}
