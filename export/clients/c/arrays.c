#include "arrays.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "tensorflow/c/tf_tstring.h"

static const struct {
  TF_DataType type;
  const char *name;
  const char *numpy; /* in a file of NumPy */
} TYPES[] = {
    {TF_FLOAT, "float32", "<f4"}, {TF_DOUBLE, "float64", "<f8"}, {TF_HALF, "float16", "<f2"},
    {TF_INT8, "int8", "|i1"},     {TF_INT16, "int16", "<i2"},    {TF_INT32, "int32", "<i4"},
    {TF_INT64, "int64", "<i8"},   {TF_UINT8, "uint8", "|u1"},    {TF_BOOL, "bool", "|b1"},
    {TF_STRING, "string", ""},
};
enum { NUM_TYPES = sizeof TYPES / sizeof *TYPES };

/* The head of a file of NumPy. */
typedef struct {
  char type[8];
  int rank;
  int64_t shape[MAX_RANK];
} Header;

const char *type_name(TF_DataType type) {
  for (int i = 0; i < NUM_TYPES; i++)
    if (TYPES[i].type == type) return TYPES[i].name;
  return "another type";
}

static const char *numpy_type_name(const char *numpy) {
  for (int i = 0; i < NUM_TYPES; i++)
    if (!strcmp(TYPES[i].numpy, numpy)) return TYPES[i].name;
  return numpy;
}

static void format_shape(char *text, size_t size, int rank, const int64_t *shape) {
  size_t end = (size_t)snprintf(text, size, rank < 0 ? "[...]" : "[");
  for (int i = 0; i < rank; i++)
    end += (size_t)snprintf(text + end, size - end, i ? ", %" PRId64 : "%" PRId64, shape[i]);
  if (rank >= 0) snprintf(text + end, size - end, "]");
}

void print_shape(int rank, const int64_t *shape) {
  char text[256];
  format_shape(text, sizeof text, rank, shape);
  fputs(text, stdout);
}

static FILE *open_file(const char *path, const TensorInfo *input) {
  FILE *file = fopen(path, "rb");
  if (!file) fail("Input '%.*s' must be a file that can be read. Received: '%s'", TEXT(input->key), path);
  return file;
}

/* Parse {'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 8, 1), }. */
static bool parse_header(const char *text, Header *header) {
  const char *type = strstr(text, "'descr': '"), *shape = strstr(text, "'shape': (");
  if (!type || !shape || !strstr(text, "'fortran_order': False")) return false;
  if (sscanf(type, "'descr': '%7[^']'", header->type) != 1) return false;
  shape += strlen("'shape': (");
  for (header->rank = 0; *shape != ')'; header->rank++) {
    char *end;
    if (header->rank == MAX_RANK) return false;
    errno = 0;
    header->shape[header->rank] = strtoll(shape, &end, 10);
    if (end == shape || errno || header->shape[header->rank] < 0) return false;
    shape = end + strspn(end, ", ");
  }
  return true;
}

/* Read up to where the numbers of a file of NumPy start. */
static bool read_header(FILE *file, Header *header) {
  unsigned char start[12];
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6)) return false;
  size_t size = start[8] | (size_t)start[9] << 8;
  if (start[6] > 1) { /* versions 2 and 3 have a size of four bytes */
    if (fread(start + 10, 1, 2, file) != 2) return false;
    size |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
  }
  char text[4096] = "";
  return size < sizeof text && fread(text, 1, size, file) == size && parse_header(text, header);
}

static void check_type_and_shape(const Header *header, const TensorInfo *input) {
  bool fits = input->rank < 0 || input->rank == header->rank;
  for (int i = 0; fits && i < input->rank; i++)
    fits = input->shape[i] < 0 || input->shape[i] == header->shape[i];
  if (fits && !strcmp(numpy_type_name(header->type), type_name(input->type))) return;
  char wanted[256], received[256];
  format_shape(wanted, sizeof wanted, input->rank, input->shape);
  format_shape(received, sizeof received, header->rank, header->shape);
  fail("Input '%.*s' must be %s %s. Received: %s %s", TEXT(input->key), type_name(input->type), wanted,
       numpy_type_name(header->type), received);
}

/* Find how many bytes an array has; false if no file has as many. An array with an axis of size 0 has none. */
static bool find_size(const Header *header, size_t item, size_t *size) {
  bool is_empty = false;
  *size = item;
  for (int i = 0; i < header->rank; i++) {
    if (!header->shape[i]) {
      is_empty = true;
    } else {
      if (*size > (size_t)INT64_MAX / (size_t)header->shape[i]) return false;
      *size *= (size_t)header->shape[i];
    }
  }
  if (is_empty) *size = 0;
  return true;
}

/* Read up to `most` bytes into memory that grows with what is there, whatever was asked for. Returns NULL on an error
 * of the file or if memory is short. */
static char *read_bytes(FILE *file, size_t most, size_t *size) {
  char *bytes = NULL;
  size_t room = most < 65536 ? most : 65536;
  for (*size = 0;; room = room > most / 2 ? most : 2 * room) {
    char *moved = realloc(bytes, room + 1); /* never of 0 bytes */
    if (!moved) break;
    bytes = moved;
    *size += fread(bytes + *size, 1, room - *size, file);
    if (ferror(file)) break;
    if (*size < room || room == most) return bytes;
  }
  free(bytes);
  return NULL;
}

static void free_bytes(void *data, size_t size, void *unused) {
  (void)size, (void)unused;
  free(data);
}

static TF_Tensor *read_array(const char *path, const TensorInfo *input) {
  Header header;
  FILE *file = open_file(path, input);
  bool is_array = read_header(file, &header);
  size_t size = 0, read = 0;
  bool is_whole = is_array && find_size(&header, TF_DataTypeSize(input->type), &size);
  char *bytes = is_whole ? read_bytes(file, size, &read) : NULL;
  fclose(file);
  if (!is_array)
    fail("Input '%.*s' must be a file by numpy.save, in C order. Received: '%s'", TEXT(input->key), path);
  check_type_and_shape(&header, input);
  if (!bytes || read < size)
    fail("Input '%.*s' must be a whole file. Received: '%s', which ends early", TEXT(input->key), path);
  return TF_NewTensor(input->type, header.shape, header.rank, bytes, size, free_bytes, NULL);
}

static void free_string(void *data, size_t size, void *unused) {
  (void)size, (void)unused;
  TF_StringDealloc(data);
  free(data);
}

/* Return a batch of one string: what a file holds. */
static TF_Tensor *read_string(const char *path, const TensorInfo *input) {
  size_t size;
  FILE *file = open_file(path, input);
  char *bytes = read_bytes(file, INT64_MAX, &size);
  fclose(file);
  TF_TString *string = malloc(sizeof *string);
  if (!bytes || !string)
    fail("Input '%.*s' must be a file that can be read. Received: '%s'", TEXT(input->key), path);
  TF_StringInit(string);
  TF_StringCopy(string, bytes, size);
  free(bytes);
  int64_t shape[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  int rank = input->rank < 0 ? 1 : input->rank;
  return TF_NewTensor(TF_STRING, shape, rank, string, sizeof *string, free_string, NULL);
}

TF_Tensor *read_tensor(const char *path, const TensorInfo *input) {
  return input->type == TF_STRING ? read_string(path, input) : read_array(path, input);
}

static void print_element(TF_DataType type, const void *data, int64_t i) {
  switch (type) {
    case TF_FLOAT: printf("%.9g", ((const float *)data)[i]); break;
    case TF_DOUBLE: printf("%.17g", ((const double *)data)[i]); break;
    case TF_INT32: printf("%" PRId32, ((const int32_t *)data)[i]); break;
    case TF_INT64: printf("%" PRId64, ((const int64_t *)data)[i]); break;
    case TF_BOOL: printf("%d", ((const unsigned char *)data)[i]); break;
    case TF_STRING: {
      const TF_TString *string = (const TF_TString *)data + i;
      fwrite(TF_StringGetDataPointer(string), 1, TF_StringGetSize(string), stdout);
      break;
    }
    default: fail("Outputs must be float32, float64, int32, int64, bool or string. Received: %s", type_name(type));
  }
}

void print_tensor(const TensorInfo *output, const TF_Tensor *tensor) {
  int64_t shape[MAX_RANK] = {0}, size = 1;
  int rank = TF_NumDims(tensor);
  if (rank > MAX_RANK) fail("Outputs must have at most %d axes. Received: %d", MAX_RANK, rank);
  for (int i = 0; i < rank; i++) size *= shape[i] = TF_Dim(tensor, i);
  int64_t line = rank && shape[0] ? size / shape[0] : 1;
  printf("%.*s %s ", TEXT(output->key), type_name(output->type));
  print_shape(rank, shape);
  puts("");
  for (int64_t i = 0; i < size; i++) {
    print_element(TF_TensorType(tensor), TF_TensorData(tensor), i);
    putchar((i + 1) % line ? ' ' : '\n');
  }
}
