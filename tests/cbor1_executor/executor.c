/* A small executor that speaks cbor-1, in plain C without libraries.
 *
 *     executor TYPE [--protocol NAME] [--first MESSAGE] [--mute] [--deaf]
 *
 * TYPE is what it registers as. The part of a task's type behind the slash says what it does with the task. It is as strict
 * as executors can be: unknown fields, empty values, nulls and lengths that are not definite end it with status 70. */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(70);
}

static void *need(void *memory)
{
    if (memory == NULL)
        die("out of memory");
    return memory;
}

/* ---- reading CBOR: a tree of items that point into the frame ---- */

enum kind { UINT, NINT, BYTES, TEXT, ARRAY, MAP, SIMPLE, FLOAT };

struct item {
    enum kind kind;
    uint64_t value;      /* of numbers and simple values; length of the others (pairs of a map) */
    const uint8_t *data; /* of bytes and text */
    struct item *items;  /* of arrays and maps (keys and values alternate) */
    const uint8_t *from, *to;
};

struct reader {
    const uint8_t *at, *end;
};

static struct item read_item(struct reader *reader)
{
    struct item item = {0};
    item.from = reader->at;
    if (reader->at >= reader->end)
        die("the item is cut");
    uint8_t first = *reader->at++;
    uint8_t info = first & 31;
    int extra = info < 24 ? 0 : info < 28 ? 1 << (info - 24) : -1;
    if (extra < 0)
        die("a length that is not definite");
    if (reader->end - reader->at < extra)
        die("the item is cut");
    item.value = extra ? 0 : info;
    for (int i = 0; i < extra; i++)
        item.value = item.value << 8 | *reader->at++;
    switch (first >> 5) {
    case 0: item.kind = UINT; break;
    case 1: item.kind = NINT; break;
    case 2: case 3:
        item.kind = first >> 5 == 2 ? BYTES : TEXT;
        if ((uint64_t)(reader->end - reader->at) < item.value)
            die("the item is cut");
        item.data = reader->at;
        reader->at += item.value;
        break;
    case 4: case 5: {
        item.kind = first >> 5 == 4 ? ARRAY : MAP;
        uint64_t count = item.kind == MAP ? 2 * item.value : item.value;
        if (count > (uint64_t)(reader->end - reader->at))
            die("the item is cut");
        item.items = need(calloc(count + 1, sizeof *item.items));
        for (uint64_t i = 0; i < count; i++)
            item.items[i] = read_item(reader);
        break;
    }
    case 7: item.kind = extra > 1 ? FLOAT : SIMPLE; break;
    default: die("a tag");
    }
    item.to = reader->at;
    return item;
}

static int is_text(const struct item *item, const char *text)
{
    return item->kind == TEXT && item->value == strlen(text) && memcmp(item->data, text, item->value) == 0;
}

static const struct item *get(const struct item *map, const char *name)
{
    if (map == NULL || map->kind != MAP)
        die("no map where %s should be", name);
    for (uint64_t i = 0; i < map->value; i++)
        if (is_text(&map->items[2 * i], name))
            return &map->items[2 * i + 1];
    return NULL;
}

static const struct item *must(const struct item *map, const char *name)
{
    const struct item *item = get(map, name);
    if (item == NULL)
        die("the field %s is missing", name);
    return item;
}

/* `names` ends with NULL. */
static void check_fields(const struct item *map, const char *what, const char *const *names)
{
    if (map->kind != MAP)
        die("%s is not a map", what);
    for (uint64_t i = 0; i < map->value; i++) {
        const struct item *key = &map->items[2 * i], *value = key + 1;
        int known = 0;
        for (const char *const *name = names; *name; name++)
            known |= is_text(key, *name);
        if (!known)
            die("unknown field %.*s in %s", (int)key->value, (const char *)key->data, what);
        if (value->kind == SIMPLE && value->value == 22)
            die("null in %s", what);
        if (value->kind >= BYTES && value->kind <= MAP && value->value == 0)
            die("the empty field %.*s in %s", (int)key->value, (const char *)key->data, what);
    }
}

static void check_id(const struct item *id)
{
    if (id->kind != ARRAY || id->value != 2 || id->items[0].kind != UINT || id->items[1].kind != UINT ||
        id->items[0].value >> 31 || id->items[1].value >> 31)
        die("an id that is none");
}

static const char *const TASK_SPEC[] = {"id", "task_type", "config", "inputs", "outputs", "resources", "name", "user", NULL};
static const char *const TASK_INPUT[] = {"id", "label", NULL};
static const char *const OBJECT_SPEC[] = {"id", "label", "content_type", "data_type", "size_hint", "user", NULL};
static const char *const OBJECT_INFO[] = {"error", "size", "content_type", "debug", "user", NULL};

static void check_objects(const struct item *objects, int inputs)
{
    if (objects->kind != ARRAY)
        die("objects are not an array");
    for (uint64_t i = 0; i < objects->value; i++) {
        const struct item *object = &objects->items[i], *spec = must(object, "spec");
        check_fields(spec, "an object's spec", OBJECT_SPEC);
        check_id(must(spec, "id"));
        must(spec, "data_type");
        if (object->value != (inputs ? 4 : 1))
            die("an object with %d fields", (int)object->value);
        if (inputs) {
            check_fields(must(object, "info"), "an object's info", OBJECT_INFO);
            must(object, "location");
            if (must(object, "cache_hint")->kind != SIMPLE)
                die("a cache_hint that is neither true nor false");
        }
    }
}

static void check_call(const struct item *call)
{
    const struct item *spec = must(call, "spec"), *inputs = get(spec, "inputs");
    check_fields(spec, "the task's spec", TASK_SPEC);
    check_id(must(spec, "id"));
    for (uint64_t i = 0; inputs && i < inputs->value; i++) {
        check_fields(&inputs->items[i], "a task's input", TASK_INPUT);
        check_id(must(&inputs->items[i], "id"));
    }
    if (call->value != 3)
        die("a call with %d fields", (int)call->value);
    check_objects(must(call, "inputs"), 1);
    check_objects(must(call, "outputs"), 0);
}

/* ---- writing CBOR ---- */

static struct {
    uint8_t *data;
    size_t size, room;
} out;

static void put(const void *data, size_t size)
{
    if (out.size + size > out.room) {
        out.room = 2 * (out.size + size);
        out.data = need(realloc(out.data, out.room));
    }
    if (size)
        memcpy(out.data + out.size, data, size);
    out.size += size;
}

static void put_head(int major, uint64_t value)
{
    uint8_t head[9];
    int extra = value < 24 ? 0 : value < 1 << 8 ? 1 : value < 1 << 16 ? 2 : value < (uint64_t)1 << 32 ? 4 : 8;
    head[0] = major << 5 | (extra == 0 ? (int)value : extra == 1 ? 24 : extra == 2 ? 25 : extra == 4 ? 26 : 27);
    for (int i = 0; i < extra; i++)
        head[1 + i] = value >> 8 * (extra - 1 - i);
    put(head, 1 + extra);
}

static void put_text(const char *text)
{
    put_head(3, strlen(text));
    put(text, strlen(text));
}

static void put_bytes(const void *data, size_t size)
{
    put_head(2, size);
    put(data, size);
}

static void put_item(const struct item *item)
{
    put(item->from, item->to - item->from);
}

/* ---- frames ---- */

static int line;

static void send_all(const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size) {
        ssize_t sent = write(line, at, size);
        if (sent < 0 && errno != EINTR)
            die("the governor is gone");
        if (sent > 0) {
            at += sent;
            size -= sent;
        }
    }
}

static void send_frame(void)
{
    fflush(stdout); /* what a task printed is there when its result is */
    uint8_t prefix[4] = {out.size, out.size >> 8, out.size >> 16, out.size >> 24};
    send_all(prefix, sizeof prefix);
    send_all(out.data, out.size);
    out.size = 0;
}

static void receive(void *data, size_t size)
{
    uint8_t *at = data;
    while (size) {
        ssize_t count = read(line, at, size);
        if (count == 0)
            exit(0);
        if (count < 0 && errno != EINTR)
            die("the governor is gone");
        if (count > 0) {
            at += count;
            size -= count;
        }
    }
}

/* ---- what tasks ask for ---- */

static struct {
    uint8_t *data;
    size_t size;
    uint64_t session, id;
    int held;
} cache;

static void begin_result(const struct item *task, int success, int fields)
{
    put_head(4, 2);
    put_text("result");
    put_head(5, 3 + fields);
    put_text("task");
    put_item(task);
    put_text("success");
    put_head(7, success ? 21 : 20);
    put_text("info");
}

static void begin_outputs(int count)
{
    put_text("outputs");
    put_head(4, count);
}

static void put_location(const char *kind)
{
    put_head(5, 2);
    put_text("info");
    put_head(5, 0);
    put_text("location");
    put_head(4, 2);
    put_text(kind);
}

static void fail(const struct item *task, const char *error)
{
    begin_result(task, 0, 0);
    put_head(5, 1);
    put_text("error");
    put_text(error);
    send_frame();
}

/* The bytes of an input, wherever they are. */
static uint8_t *load(const struct item *input, size_t *size)
{
    const struct item *location = must(input, "location"), *id = must(must(input, "spec"), "id");
    if (is_text(location, "cached")) {
        if (!cache.held || cache.session != id->items[0].value || cache.id != id->items[1].value)
            die("it is not cached");
        *size = cache.size;
        uint8_t *copy = need(malloc(cache.size + 1));
        memcpy(copy, cache.data, cache.size);
        return copy;
    }
    if (location->kind != ARRAY || location->value != 2)
        die("a location that is none");
    const struct item *value = &location->items[1];
    if (is_text(&location->items[0], "memory") && value->kind == BYTES) {
        uint8_t *copy = need(malloc(value->value + 1));
        memcpy(copy, value->data, value->value);
        *size = value->value;
        return copy;
    }
    if (!is_text(&location->items[0], "path") || value->kind != TEXT)
        die("a location that is none");
    char path[4096];
    snprintf(path, sizeof path, "%.*s", (int)value->value, (const char *)value->data);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    struct stat seen;
    fstat(fileno(file), &seen);
    uint8_t *data = need(malloc(seen.st_size + 1));
    *size = fread(data, 1, seen.st_size, file);
    fclose(file);
    return data;
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file))
        die("%s: %s", path, strerror(errno));
}

static int folder_is_empty(void)
{
    DIR *folder = opendir(".");
    int count = 0;
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count == 2;
}

static void put_path(const char *name)
{
    char folder[2048], path[4096];
    if (getcwd(folder, sizeof folder) == NULL)
        die("getcwd: %s", strerror(errno));
    if (name[0] == '/')
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "%s/%s", folder, name);
    put_location("path");
    put_text(path);
}

static void run(const struct item *call, const char *method)
{
    const struct item *spec = must(call, "spec"), *task = must(spec, "id");
    const struct item *inputs = must(call, "inputs"), *outputs = must(call, "outputs");
    const struct item *config = get(spec, "config");
    char text[4096] = "";
    if (config && config->kind == TEXT)
        snprintf(text, sizeof text, "%.*s", (int)config->value, (const char *)config->data);

    if (!strcmp(method, "hello")) {
        size_t size = 0;
        uint8_t *name = inputs->value ? load(&inputs->items[0], &size) : NULL;
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_location("memory");
        put_head(2, size + 6);
        put("Hello ", 6);
        put(name, size);
        free(name);
        send_frame();
    } else if (!strcmp(method, "nothing")) {
        begin_result(task, 1, outputs->value ? 1 : 0);
        put_head(5, 0);
        if (outputs->value)
            begin_outputs(0);
        send_frame();
    } else if (!strcmp(method, "same")) { /* the first input passes through */
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_location("other_object");
        put_item(must(must(&inputs->items[0], "spec"), "id"));
        send_frame();
    } else if (!strcmp(method, "other")) { /* something that is no input */
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_location("other_object");
        put_item(task);
        send_frame();
    } else if (!strcmp(method, "file")) { /* the first input, written to a file */
        size_t size;
        uint8_t *data = load(&inputs->items[0], &size);
        write_file("made", data, size);
        free(data);
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_path("made");
        send_frame();
    } else if (!strcmp(method, "folder")) { /* a directory */
        if (mkdir("tree", 0700) || mkdir("tree/inner", 0700) || symlink("inner/file", "tree/link"))
            die("tree: %s", strerror(errno));
        write_file("tree/inner/file", "content", 7);
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_path("tree");
        send_frame();
    } else if (!strcmp(method, "path")) { /* whatever path the config names */
        write_file("made", "x", 1);
        if (symlink("/etc/passwd", "link"))
            die("link: %s", strerror(errno));
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_path(text);
        send_frame();
    } else if (!strcmp(method, "info")) {
        begin_result(task, 1, 1);
        put_head(5, 4);
        put_text("start_time");
        put_text("2020-01-02T03:04:05.678901234+00:00");
        put_text("duration");
        put("\xfb\x3f\xd0\0\0\0\0\0\0", 9); /* 0.25 */
        put_text("debug");
        put_text("line one\nline two");
        put_text("user");
        put_head(5, 1);
        put_text("key");
        put_head(4, 2);
        put_head(0, 1);
        put_head(7, 21);
        put_text("outputs");
        put_head(4, 1);
        put_head(5, 2);
        put_text("info");
        put_head(5, 2);
        put_text("content_type");
        put_text("text");
        put_text("user");
        put_head(5, 1);
        put_text("of");
        put_text("object");
        put_text("location");
        put_head(4, 2);
        put_text("memory");
        put_bytes("x", 1);
        send_frame();
    } else if (!strcmp(method, "cache")) { /* keeps the first input; returns how it came */
        const struct item *input = &inputs->items[0], *id = must(must(input, "spec"), "id");
        int hinted = must(input, "cache_hint")->value == 21, was_cached = is_text(must(input, "location"), "cached");
        size_t size;
        uint8_t *data = load(input, &size);
        free(cache.data);
        cache.data = data;
        cache.size = size;
        cache.session = id->items[0].value;
        cache.id = id->items[1].value;
        cache.held = 1;
        begin_result(task, 1, 2);
        put_head(5, 0);
        begin_outputs(1);
        put_location("memory");
        snprintf(text, sizeof text, "%s%s", was_cached ? "cached" : "sent", hinted ? ", hinted" : "");
        put_bytes(text, strlen(text));
        put_text("cached_objects");
        put_head(4, 1);
        put_item(id);
        send_frame();
    } else if (!strcmp(method, "holds")) { /* whether something is cached */
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_location("memory");
        put_bytes(cache.held ? "yes" : "no", cache.held ? 3 : 2);
        send_frame();
    } else if (!strcmp(method, "where")) { /* environment and folder */
        char folder[2048];
        if (getcwd(folder, sizeof folder) == NULL)
            die("getcwd: %s", strerror(errno));
        snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s\n", getenv("RAIN_EXECUTOR_ID"), getenv("RAIN_EXECUTOR_SOCKET"), folder,
                 folder_is_empty() ? "empty" : "not empty", getenv("RAIN_TOKEN") ? "token" : "no token");
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_location("memory");
        put_bytes(text, strlen(text));
        send_frame();
    } else if (!strcmp(method, "write")) { /* changes its first input, a file */
        const struct item *path = &must(&inputs->items[0], "location")->items[1];
        snprintf(text, sizeof text, "%.*s", (int)path->value, (const char *)path->data);
        chmod(text, 0644);
        int file = open(text, O_WRONLY | O_APPEND);
        if (file < 0 || write(file, "x", 1) != 1)
            die("%s: %s", text, strerror(errno));
        close(file);
        begin_result(task, 1, 1);
        put_head(5, 0);
        begin_outputs(1);
        put_location("memory");
        put_bytes("x", 1);
        send_frame();
    } else if (!strcmp(method, "fail")) {
        printf("told %s\n", text);
        fail(task, text);
    } else if (!strcmp(method, "crash")) {
        printf("last words\n");
        fflush(stdout);
        fprintf(stderr, "why\n");
        raise(SIGSEGV);
    } else if (!strcmp(method, "exit")) {
        exit(3);
    } else if (!strcmp(method, "child")) { /* leaves a child behind and dies; the config is a FIFO that both hold open */
        int held = open(text, O_WRONLY);
        if (held < 0)
            die("%s: %s", text, strerror(errno));
        if (fork() == 0)
            for (;;)
                pause();
        _exit(4);
    } else if (!strcmp(method, "close")) { /* closes the socket and stays */
        close(line);
        for (;;)
            pause();
    } else if (!strcmp(method, "wait")) { /* opens the FIFO in the config, then waits until it is killed */
        int held = open(text, O_WRONLY);
        if (held < 0)
            die("%s: %s", text, strerror(errno));
        for (;;)
            pause();
    } else if (!strcmp(method, "garbage")) {
        put("\x1f\x1f\x1f", 3);
        send_frame();
    } else if (!strcmp(method, "huge")) {
        send_all("\xff\xff\xff\xff", 4);
    } else if (!strcmp(method, "unknown")) {
        put_head(4, 2);
        put_text("surprise");
        put_head(5, 0);
        send_frame();
    } else if (!strcmp(method, "twice")) {
        fail(task, "once");
        fail(task, "twice");
    } else if (!strcmp(method, "wrong")) { /* the result of another task */
        struct item other = *task;
        put_head(4, 2);
        put_head(0, 77);
        put_head(0, 77);
        uint8_t copy[16];
        memcpy(copy, out.data, out.size);
        other.from = copy;
        other.to = copy + out.size;
        out.size = 0;
        fail(&other, "wrong");
    } else {
        snprintf(text, sizeof text, "\"Method \\\"%s\\\" is not known\"", method); /* wrapped in JSON quotes, as some do */
        fail(task, text);
    }
}

static void drop(const struct item *data)
{
    const struct item *objects = must(data, "objects");
    for (uint64_t i = 0; i < objects->value; i++) {
        const struct item *id = &objects->items[i];
        check_id(id);
        if (!cache.held || cache.session != id->items[0].value || cache.id != id->items[1].value)
            die("told to drop what is not cached");
        cache.held = 0;
    }
}

static void serve(void)
{
    for (;;) {
        uint8_t prefix[4];
        receive(prefix, sizeof prefix);
        size_t size = prefix[0] | prefix[1] << 8 | prefix[2] << 16 | (size_t)prefix[3] << 24;
        uint8_t *frame = need(malloc(size + 1));
        receive(frame, size);
        struct reader reader = {frame, frame + size};
        struct item message = read_item(&reader);
        if (reader.at != reader.end || message.kind != ARRAY || message.value != 2)
            die("not a message");
        if (is_text(&message.items[0], "call")) {
            const struct item *call = &message.items[1];
            check_call(call);
            const struct item *type = must(must(call, "spec"), "task_type");
            char method[256];
            snprintf(method, sizeof method, "%.*s", (int)type->value, (const char *)type->data);
            char *slash = strchr(method, '/');
            if (slash == NULL)
                die("a task type without a slash");
            run(call, slash + 1);
        } else if (is_text(&message.items[0], "drop_cached")) {
            drop(&message.items[1]);
        } else {
            die("an unknown message");
        }
        free(frame); /* the tree of items is left: this is a test */
    }
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 2; i < argc; i++)
        if (!strcmp(argv[i], name))
            return i + 1 < argc ? argv[i + 1] : "";
    return otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: executor TYPE [options]");
    printf("starting as %s\n", argv[1]);
    fflush(stdout);
    if (option(argc, argv, "--deaf", NULL))
        for (;;)
            pause();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("RAIN_EXECUTOR_SOCKET");
    if (path == NULL || strlen(path) >= sizeof address.sun_path)
        die("no usable RAIN_EXECUTOR_SOCKET");
    strcpy(address.sun_path, path);
    line = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(line, (struct sockaddr *)&address, sizeof address))
        die("%s: %s", path, strerror(errno));
    if (option(argc, argv, "--mute", NULL))
        for (;;)
            pause();
    put_head(4, 2);
    put_text(option(argc, argv, "--first", "register"));
    put_head(5, 3);
    put_text("protocol");
    put_text(option(argc, argv, "--protocol", "cbor-1"));
    put_text("executor_id");
    put_head(0, atoi(getenv("RAIN_EXECUTOR_ID")));
    put_text("executor_type");
    put_text(argv[1]);
    send_frame();
    serve();
}
