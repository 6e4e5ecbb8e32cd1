#include "raw_brokers.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static redisContext *connected(const char *url) {
    const char *colon = strrchr(url, ':');
    redisContext *context = redisConnect("127.0.0.1", colon ? atoi(colon + 1) : 6379);
    if (context && !context->err) return context;
    if (context) redisFree(context);
    return NULL;
}

const char *raw_redis_consume(const char *url, const char *channel, int count, void *context, raw_ready ready, raw_heard heard) {
    redisContext *redis = connected(url);
    if (!redis) return "no connection";
    const char *error = NULL;
    redisReply *reply = redisCommand(redis, "SUBSCRIBE %s", channel);
    if (!reply) error = "can't subscribe";
    freeReplyObject(reply);
    if (!error) ready(context);
    for (int index = 0; !error && index < count; index++) {
        void *message = NULL;
        if (redisGetReply(redis, &message) != REDIS_OK) return "nothing more comes";
        reply = message;
        uint64_t leftAt = 0;
        // Why the end: behind whatever a sender puts in front, the last 100 bytes are ours.
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && reply->element[2]->len >= 100)
            memcpy(&leftAt, reply->element[2]->str + reply->element[2]->len - 100, sizeof leftAt);
        heard(context, leftAt);
        freeReplyObject(reply);
    }
    redisFree(redis);
    return error;
}

const char *raw_redis_publish(const char *url, const char *channel, int count, int rate) {
    redisContext *redis = connected(url);
    if (!redis) return "no connection";
    char body[100];
    memset(body, 'a', sizeof body);
    uint64_t start = raw_now();
    for (int index = 0; index < count; index++) {
        raw_pace(start, index, rate);
        uint64_t leaving = raw_now();
        memcpy(body, &leaving, sizeof leaving);
        redisReply *reply = redisCommand(redis, "PUBLISH %s %b", channel, body, sizeof body);
        if (!reply || reply->type == REDIS_REPLY_ERROR) return "can't publish";
        freeReplyObject(reply);
    }
    redisFree(redis);
    return NULL;
}

const char *raw_redis_script(const char *url, int count, int window, int wordCount, const char *const *words) {
    redisContext *redis = connected(url);
    if (!redis) return "no connection";
    const char *arguments[32];
    size_t lengths[32];
    if (wordCount > 31) return "too many words";
    for (int word = 0; word < wordCount; word++) {
        arguments[word] = words[word];
        lengths[word] = strlen(words[word]);
    }
    char record[124];
    memset(record, 'a', sizeof record);
    arguments[wordCount] = record;
    lengths[wordCount] = sizeof record;
    for (int index = 0, answered = 0; answered < count;) {
        while (index < count && index - answered < window) {
            uint64_t leaving = raw_now();
            memcpy(record + 24, &leaving, sizeof leaving);
            index++;
            for (int byte = 0; byte < 8; byte++) record[16 + byte] = (char)((uint64_t)index >> (56 - 8 * byte));
            redisAppendCommandArgv(redis, wordCount + 1, arguments, lengths);
        }
        for (; answered < index; answered++) {
            void *answer = NULL;
            if (redisGetReply(redis, &answer) != REDIS_OK) return "Redis closed the connection";
            if (((redisReply *)answer)->type == REDIS_REPLY_ERROR) return "the script failed";
            freeReplyObject(answer);
        }
    }
    redisFree(redis);
    return NULL;
}
