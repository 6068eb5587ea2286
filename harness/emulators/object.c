/* Shared objects of the guest: a small dynamic loader that works from outside, on an ELF file nobody executed yet. */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECTS (OPW_MAX_KERNELS + 4)
#define THREAD_BYTES (1 << 16) /* thread-local storage, all objects together */

static struct object {
    uint64_t base, low, high; /* guest addresses */
    const Elf64_Sym *symbols;
    const char *strings;
    uint64_t count;
    const uint32_t *gnu_hash;
    const Elf64_Rela *tables[2];
    uint64_t table_bytes[2];
    uint64_t constructors, constructor_bytes;
    uint64_t thread_offset; /* of its block within the thread-local storage */
} objects[OBJECTS];
static int count;
static uint64_t thread_block, thread_used;

uint64_t guest_thread_block(void)
{
    if (!thread_block)
        thread_block = guest_map(THREAD_BYTES);
    return thread_block;
}

static int named(const struct object *object, uint64_t i, const char *name)
{
    return object->symbols[i].st_shndx != SHN_UNDEF && strcmp(object->strings + object->symbols[i].st_name, name) == 0;
}

/* Through the GNU hash table where there is one: libraries have many thousand symbols. */
static const Elf64_Sym *find(const struct object *object, const char *name)
{
    const uint32_t *table = object->gnu_hash;
    if (!table) {
        for (uint64_t i = 1; i < object->count; i++)
            if (named(object, i, name))
                return &object->symbols[i];
        return NULL;
    }
    const uint32_t *buckets = table + 4 + table[2] * 2, *chains = buckets + table[0];
    uint32_t hash = 5381;
    for (const char *c = name; *c; c++)
        hash = hash * 33 + (uint8_t)*c;
    for (uint32_t i = buckets[hash % table[0]]; i; i++) {
        uint32_t entry = chains[i - table[1]];
        if ((entry | 1) == (hash | 1) && named(object, i, name))
            return &object->symbols[i];
        if (entry & 1)
            break;
    }
    return NULL;
}

/* The GNU hash table holds the defined symbols up to the last one. */
static uint64_t hashed_symbols(const uint32_t *table)
{
    const uint32_t *buckets = table + 4 + table[2] * 2, *chains = buckets + table[0];
    uint32_t last = 0;
    for (uint32_t k = 0; k < table[0]; k++)
        last = buckets[k] > last ? buckets[k] : last;
    while (last && !(chains[last - table[1]] & 1))
        last++;
    return last ? last + 1 : table[1];
}

uint64_t guest_symbol(int index, const char *name)
{
    for (int i = index < 0 ? 0 : index; i < (index < 0 ? count : index + 1); i++) {
        const Elf64_Sym *symbol = find(&objects[i], name);
        if (symbol)
            return objects[i].base + symbol->st_value;
    }
    return 0;
}

void guest_name(uint64_t address, char *out, size_t room)
{
    snprintf(out, room, "address 0x%llx", (unsigned long long)address);
    for (int i = 0; i < count; i++) {
        struct object *o = &objects[i];
        if (address < o->low || address >= o->high)
            continue;
        uint64_t nearest = 0;
        snprintf(out, room, "object %d+0x%llx", i, (unsigned long long)(address - o->base));
        for (uint64_t s = 1; s < o->count; s++) {
            uint64_t value = o->symbols[s].st_value;
            if (o->symbols[s].st_shndx == SHN_UNDEF || o->base + value > address || value < nearest)
                continue;
            nearest = value;
            snprintf(out, room, "%s+0x%llx", o->strings + o->symbols[s].st_name,
                     (unsigned long long)(address - o->base - value));
        }
    }
}

/* The defined or imported address of a symbol; weak ones may stay 0. */
static uint64_t resolve(const struct object *object, uint32_t index)
{
    const Elf64_Sym *symbol = &object->symbols[index];
    const char *name = object->strings + symbol->st_name;
    if (symbol->st_shndx != SHN_UNDEF)
        return object->base + symbol->st_value;
    uint64_t found = guest_symbol(-1, name);
    if (!found && ELF64_ST_BIND(symbol->st_info) != STB_WEAK)
        found = guest_symbol(-1, "opw_missing"); /* a library is served by a small C library: see guest_libc.c */
    if (!found && ELF64_ST_BIND(symbol->st_info) != STB_WEAK && index)
        guest_fails("load", "undefined symbol: %s", name);
    return found;
}

static void relocate(const struct object *object, const Elf64_Rela *entry)
{
    uint64_t *place = guest_host(object->base + entry->r_offset);
    uint32_t index = (uint32_t)(entry->r_info >> 32);
    uint64_t value = index ? object->symbols[index].st_value : 0;
    switch (guest_isa.relocation((uint32_t)entry->r_info)) {
    case RELOCATE_NONE:
        return;
    case RELOCATE_BASE:
        *place = object->base + (uint64_t)entry->r_addend;
        return;
    case RELOCATE_SYMBOL:
        *place = resolve(object, index) + (uint64_t)entry->r_addend;
        return;
    case RELOCATE_TLS_MODULE:
        *place = 1;
        return;
    case RELOCATE_TLS_OFFSET:
        *place = object->thread_offset + value + (uint64_t)entry->r_addend;
        return;
    case RELOCATE_TLS_DESCRIPTOR:
        place[0] = guest_symbol(-1, "opw_tls_descriptor");
        place[1] = object->thread_offset + value + (uint64_t)entry->r_addend;
        return;
    default:
        guest_fails("load", "dynamic relocation of type %u", (unsigned)(uint32_t)entry->r_info);
    }
}

/* Pointers of the dynamic section are offsets within the object. */
static void read_dynamic(struct object *object, const Elf64_Dyn *entry)
{
    const uint32_t *hash = NULL;
    for (; entry->d_tag != DT_NULL; entry++) {
        uint64_t at = object->base + entry->d_un.d_ptr;
        switch (entry->d_tag) {
        case DT_SYMTAB: object->symbols = guest_host(at); break;
        case DT_STRTAB: object->strings = guest_host(at); break;
        case DT_RELA: object->tables[0] = guest_host(at); break;
        case DT_RELASZ: object->table_bytes[0] = entry->d_un.d_val; break;
        case DT_JMPREL: object->tables[1] = guest_host(at); break;
        case DT_PLTRELSZ: object->table_bytes[1] = entry->d_un.d_val; break;
        case DT_INIT_ARRAY: object->constructors = at; break;
        case DT_INIT_ARRAYSZ: object->constructor_bytes = entry->d_un.d_val; break;
        case DT_HASH: hash = guest_host(at); break;
        case DT_GNU_HASH: object->gnu_hash = guest_host(at); break;
        }
    }
    object->count = hash ? hash[1] : object->gnu_hash ? hashed_symbols(object->gnu_hash) : 0;
}

/* Copy the segments of a file to guest memory at one base. */
static const Elf64_Dyn *map_segments(struct object *object, const uint8_t *file, size_t bytes, int library)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(file + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    uint64_t top = 0;
    for (int i = 0; i < header->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD && segment[i].p_vaddr + segment[i].p_memsz > top)
            top = segment[i].p_vaddr + segment[i].p_memsz;
    object->base = object->low = library ? guest_map(top) : guest_map_code(top);
    object->high = object->base + top;
    for (int i = 0; i < header->e_phnum; i++) {
        uint64_t at = object->base + segment[i].p_vaddr;
        if (segment[i].p_type == PT_LOAD && segment[i].p_offset + segment[i].p_filesz <= bytes)
            memcpy(guest_host(at), file + segment[i].p_offset, segment[i].p_filesz);
        if (segment[i].p_type == PT_LOAD && segment[i].p_flags & PF_X)
            guest_isa.add_code(at, segment[i].p_memsz);
        if (segment[i].p_type == PT_DYNAMIC)
            dynamic = guest_host(at);
        if (segment[i].p_type == PT_TLS) {
            object->thread_offset = (thread_used + 63) & ~63ULL;
            thread_used = object->thread_offset + segment[i].p_memsz;
            if (thread_used > THREAD_BYTES)
                guest_fails("load", "more than %d bytes of thread-local storage", THREAD_BYTES);
            memcpy(guest_host(guest_thread_block() + object->thread_offset), file + segment[i].p_offset,
                   segment[i].p_filesz);
        }
    }
    return dynamic;
}

static void protect_segments(const struct object *object, const uint8_t *file)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(file + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD && !(segment[i].p_flags & PF_W))
            guest_protect(object->base + segment[i].p_vaddr, segment[i].p_memsz);
}

int guest_load(const char *path, int library)
{
    struct stat facts;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) || count == OBJECTS)
        guest_fails("load", "cannot open %s", path);
    size_t bytes = (size_t)facts.st_size;
    const uint8_t *file = bytes ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    if (bytes < sizeof *header || memcmp(file, ELFMAG, SELFMAG) || header->e_type != ET_DYN ||
        header->e_machine != guest_isa.elf_machine || header->e_phoff + header->e_phnum * sizeof(Elf64_Phdr) > bytes)
        guest_fails("load", "%s: not a shared object for %s", path, guest_isa.name);
    struct object *object = &objects[count];
    const Elf64_Dyn *dynamic = map_segments(object, file, bytes, library);
    if (!dynamic)
        guest_fails("load", "%s: no dynamic section", path);
    read_dynamic(object, dynamic);
    count++; /* from here on its own symbols are found */
    for (int table = 0; table < 2; table++)
        for (uint64_t i = 0; i < object->table_bytes[table] / sizeof(Elf64_Rela); i++)
            relocate(object, object->tables[table] + i);
    protect_segments(object, file);
    munmap((void *)file, bytes);
    return count - 1;
}

void guest_initialise(int index)
{
    const char *broken;
    const uint64_t none[1] = {0};
    const struct object *object = &objects[index];
    for (uint64_t i = 0; i < object->constructor_bytes / 8; i++) {
        uint64_t function = *(const uint64_t *)guest_host(object->constructors + 8 * i);
        if (function && function != ~0ULL)
            guest_isa.call(function, none, 0, 0, &broken);
    }
}
