/*
 * A PKCS#11 module between the daemon and SoftHSM that can fail as tokens do. Tests only.
 *
 * $TOKEN_MODULE is the module behind it. $TOKEN_MOOD is a file with a word and a generation, read at each call:
 *   live  everything is passed on          gone  the token was pulled out
 *   flip  signatures have one wrong bit    pin   the PIN was changed
 *   last  one wrong PIN is left, and nobody is logged in
 *   keep  no object is destroyed           half  of each pair only the private half is
 * A session of another generation is dead, as every session is once a token was pulled out or its service restarted.
 * Each login is one byte in $TOKEN_MOOD.logins.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ulong_t;
typedef ulong_t (*call_t)();

enum { GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, GET_SESSION_INFO = 15, LOGIN = 18, DESTROY_OBJECT = 22, GET_ATTRIBUTE_VALUE = 24, SIGN_INIT = 42, SIGN = 43, CALLS = 68 };
enum { OK = 0, DEVICE_ERROR = 0x30, DEVICE_REMOVED = 0x32, PIN_INCORRECT = 0xa0, SESSION_HANDLE_INVALID = 0xb3, TOKEN_NOT_PRESENT = 0xe0 };
enum { CKA_CLASS = 0, CKO_PUBLIC_KEY = 2 };
enum { SESSIONS = 1 << 16, USER_PIN_FINAL_TRY = 0x20000 };

struct token_info {
    unsigned char texts[96];
    ulong_t flags;
};

struct session_info {
    ulong_t slot, state, flags, device_error;
};

struct list {
    unsigned char version[2];
    call_t call[CALLS];
};

static struct list behind, shown;
static int born[SESSIONS];

static int mood(const char *word, int *generation)
{
    char said[16] = "";
    FILE *file = fopen(getenv("TOKEN_MOOD"), "r");
    if (!file || fscanf(file, "%15s %d", said, generation) != 2)
        abort();
    fclose(file);
    return strcmp(said, word) == 0;
}

static ulong_t get_slot_list(unsigned char present, ulong_t *slots, ulong_t *count)
{
    int now;
    if (!mood("gone", &now))
        return behind.call[GET_SLOT_LIST](present, slots, count);
    *count = 0;
    return OK;
}

static ulong_t get_token_info(ulong_t slot, struct token_info *info)
{
    int now;
    ulong_t said = behind.call[GET_TOKEN_INFO](slot, info);
    if (said == OK && mood("last", &now))
        info->flags |= USER_PIN_FINAL_TRY;
    return said;
}

/* Once the PIN was changed, or one try is left, nobody is logged in: the states "user" become "public". */
static ulong_t get_session_info(ulong_t session, struct session_info *info)
{
    int now;
    ulong_t said = behind.call[GET_SESSION_INFO](session, info);
    if (said == OK && (mood("pin", &now) || mood("last", &now)))
        info->state &= ~1ul;
    return said;
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session)
{
    int now;
    if (mood("gone", &now))
        return TOKEN_NOT_PRESENT;
    ulong_t said = behind.call[OPEN_SESSION](slot, flags, application, notify, session);
    if (said == OK)
        born[*session % SESSIONS] = now;
    return said;
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length)
{
    int now;
    char path[4096];
    snprintf(path, sizeof path, "%s.logins", getenv("TOKEN_MOOD"));
    FILE *file = fopen(path, "a");
    if (!file)
        abort();
    fputc('.', file);
    fclose(file);
    if (mood("pin", &now))
        return PIN_INCORRECT;
    return behind.call[LOGIN](session, user, pin, length);
}

struct attribute {
    ulong_t type;
    void *value;
    ulong_t length;
};

static ulong_t destroy_object(ulong_t session, ulong_t object)
{
    int now;
    ulong_t class = 0;
    struct attribute asked = {CKA_CLASS, &class, sizeof class};
    if (mood("keep", &now))
        return DEVICE_ERROR;
    ulong_t said = behind.call[GET_ATTRIBUTE_VALUE](session, object, &asked, 1ul);
    if (said == OK && class == CKO_PUBLIC_KEY && mood("half", &now))
        return DEVICE_ERROR;
    return behind.call[DESTROY_OBJECT](session, object);
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key)
{
    int now;
    if (mood("gone", &now))
        return DEVICE_REMOVED;
    if (born[session % SESSIONS] != now)
        return SESSION_HANDLE_INVALID;
    return behind.call[SIGN_INIT](session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *signature, ulong_t *size)
{
    int now;
    ulong_t said = behind.call[SIGN](session, data, length, signature, size);
    if (said == OK && signature && mood("flip", &now))
        signature[*size - 1] ^= 1;
    return said;
}

ulong_t C_GetFunctionList(struct list **out)
{
    void *module = dlopen(getenv("TOKEN_MODULE"), RTLD_NOW | RTLD_LOCAL);
    call_t of_module = module ? (call_t)dlsym(module, "C_GetFunctionList") : NULL;
    struct list *list;
    if (!of_module || of_module(&list) != OK)
        abort();
    behind = shown = *list;
    shown.call[3] = (call_t)C_GetFunctionList;
    shown.call[GET_SLOT_LIST] = (call_t)get_slot_list;
    shown.call[GET_TOKEN_INFO] = (call_t)get_token_info;
    shown.call[GET_SESSION_INFO] = (call_t)get_session_info;
    shown.call[OPEN_SESSION] = (call_t)open_session;
    shown.call[LOGIN] = (call_t)login;
    shown.call[DESTROY_OBJECT] = (call_t)destroy_object;
    shown.call[SIGN_INIT] = (call_t)sign_init;
    shown.call[SIGN] = (call_t)sign;
    *out = &shown;
    return OK;
}
