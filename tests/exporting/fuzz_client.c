/* Fuzzes what the client in C reads: files of NumPy, and the signatures in the metadata of a SavedModel.
 *
 *   fuzz CASES SEED FOLDER FILE ...
 *
 * FILE is a corpus: *.npy or serialized MetaGraphDefs. Every case is drawn from SEED and its number, so that a number
 * repeats it; the number of the running case is in FOLDER/case. Built with the
 * client's sources but for predict.c, with -Dexit=leave, and without TensorFlow: the few functions of its C API that
 * these call are below. A mistake of a user must be one line and the end of the case, which `leave` makes; memory of
 * such cases is not freed.
 */

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arrays.h"
#include "signature.h"
#include "tensorflow/c/tf_tstring.h"
#include "tensorflow/core/platform/ctstring_internal.h"

enum { MAX_CORPUS = 16, MAX_BYTES = 1 << 16, MAX_COUNT = 8 };

struct TF_Tensor {
  TF_DataType type;
  int rank;
  int64_t shape[MAX_RANK];
  void *data;
  size_t size;
  void (*free)(void *, size_t, void *);
};

/* As assert, which would write to the `stderr` that a case has of its own. */
#define MUST(condition) \
  do { \
    if (!(condition)) dprintf(STDERR_FILENO, "line %d: must hold: %s\n", __LINE__, #condition), abort(); \
  } while (0)

static jmp_buf after_case;
static uint64_t state;

_Noreturn void leave(int code) {
  MUST(code == 1);
  longjmp(after_case, 1);
}

/* TensorFlow's part. */

size_t TF_DataTypeSize(TF_DataType type) {
  switch (type) {
    case TF_FLOAT: case TF_INT32: return 4;
    case TF_DOUBLE: case TF_INT64: return 8;
    case TF_HALF: case TF_INT16: return 2;
    case TF_INT8: case TF_UINT8: case TF_BOOL: return 1;
    default: return 0;
  }
}

TF_Tensor *TF_NewTensor(TF_DataType type, const int64_t *shape, int rank, void *data, size_t size,
                        void (*free)(void *, size_t, void *), void *unused) {
  (void)unused;
  TF_Tensor *tensor = malloc(sizeof *tensor);
  *tensor = (TF_Tensor){.type = type, .rank = rank, .data = data, .size = size, .free = free};
  MUST(rank <= MAX_RANK);
  memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
  return tensor;
}

TF_DataType TF_TensorType(const TF_Tensor *tensor) { return tensor->type; }
int TF_NumDims(const TF_Tensor *tensor) { return tensor->rank; }
int64_t TF_Dim(const TF_Tensor *tensor, int axis) { return tensor->shape[axis]; }
void *TF_TensorData(const TF_Tensor *tensor) { return tensor->data; }
void TF_StringInit(TF_TString *string) { TF_TString_Init(string); }
void TF_StringCopy(TF_TString *string, const char *bytes, size_t size) { TF_TString_Copy(string, bytes, size); }
void TF_StringDealloc(TF_TString *string) { TF_TString_Dealloc(string); }
const char *TF_StringGetDataPointer(const TF_TString *string) { return TF_TString_GetDataPointer(string); }
size_t TF_StringGetSize(const TF_TString *string) { return TF_TString_GetSize(string); }

TF_Operation *TF_GraphOperationByName(TF_Graph *graph, const char *name) {
  (void)graph;
  return strlen(name) % 2 ? NULL : (TF_Operation *)&state;
}

int TF_OperationNumOutputs(TF_Operation *operation) {
  (void)operation;
  return 3;
}

/* Random cases. */

static uint64_t draw(uint64_t number) { /* splitmix64 */
  uint64_t x = state += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return (x ^ x >> 31) % number;
}

#define PICK(list) (list)[draw(sizeof(list) / sizeof *(list))]

typedef struct {
  uint8_t bytes[MAX_BYTES];
  size_t size;
} Bytes;

/* Change bytes, cut, repeat or insert. */
static void mutate(Bytes *file) {
  for (uint64_t i = draw(6); i && file->size; i--) {
    static const uint8_t ODD[] = {0, 1, 127, 128, 255, '(', ')', '-', '9', ',', '\'', 'L'};
    size_t place = draw(file->size), count = draw(file->size - place) % 64;
    switch (draw(6)) {
      case 0: file->bytes[place] ^= (uint8_t)(1 << draw(8)); break;
      case 1: file->bytes[place] = PICK(ODD); break;
      case 2: if (!draw(4)) file->size = place; break;
      case 3: memmove(file->bytes + place, file->bytes + place + count, file->size - place - count), file->size -= count; break;
      case 4: memmove(file->bytes + draw(file->size - count), file->bytes + place, count); break;
      default:
        if (file->size + count > MAX_BYTES) break;
        memmove(file->bytes + place + count, file->bytes + place, file->size - place);
        file->size += count;
    }
  }
}

static void append(Bytes *file, const char *text) {
  size_t size = strlen(text);
  memcpy(file->bytes + file->size, text, size);
  file->size += size;
}

/* Compose a header part by part, some of them wrong, and some bytes after it. */
static void compose(Bytes *file) {
  static const char *const TYPES[] = {"<f4", "<f4", "<i4", "<i8", "<f8", "|u1", "|b1", "<f2", ">f4", "|S5", "|O", "",
                                      "float32", "string", "<f4<f4<f4<f4"};
  static const char *const SIZES[] = {"0", "1", "2", "3", "7", "20", "-1", "-9223372036854775808", "2147483648",
                                      "4294967296", "4611686018427387904", "9223372036854775807",
                                      "9223372036854775808", "99999999999999999999999999", "", " ", "x", "1e3", "+2", "0x4"};
  static const char *const ORDERS[] = {"False", "False", "False", "False", "True", "0", ""};
  static const char *const ENDS[] = {")", ")", ")", ",)", "", "))"};
  file->size = 0;
  append(file, draw(20) ? "\x93NUMPY" : "\x93NUMPX");
  uint8_t *version = file->bytes + file->size;
  bool is_long = !draw(3);
  memcpy(version, is_long ? "\2\0\0\0\0\0" : "\1\0\0\0", is_long ? 6 : 4);
  file->size += is_long ? 6 : 4;
  size_t start = file->size;
  append(file, "{");
  if (draw(20)) append(file, "'descr': '"), append(file, PICK(TYPES)), append(file, draw(20) ? "', " : ", ");
  if (draw(20)) append(file, "'fortran_order': "), append(file, PICK(ORDERS)), append(file, ", ");
  if (draw(20)) {
    append(file, "'shape': (");
    for (uint64_t i = draw(draw(10) ? 4 : 12); i; i--) append(file, PICK(SIZES)), append(file, draw(10) ? ", " : "");
    append(file, PICK(ENDS));
  }
  append(file, draw(20) ? ", }\n" : "");
  if (!draw(8)) { /* a long header */
    size_t blanks = draw(8192);
    memset(file->bytes + file->size, ' ', blanks);
    file->size += blanks;
  }
  uint64_t claim = file->size - start;
  if (!draw(10)) claim = (uint64_t[]){0, 1, 4095, 4096, 65535, 4294967295u}[draw(6)];
  memcpy(version + 2, &claim, is_long ? 4 : 2); /* low byte first, as on all machines that this runs on */
  if (!draw(20)) version[0] = (uint8_t)draw(256);
  for (uint64_t i = draw(draw(4) ? 64 : 4096); i; i--) file->bytes[file->size++] = (uint8_t)draw(256);
  if (!draw(3)) mutate(file);
}

/* Draw what the model takes: in a third of the cases anything, or else what suits files of the corpus. */
static TensorInfo draw_input(void) {
  static const TF_DataType TYPES[] = {TF_FLOAT, TF_FLOAT, TF_INT32, TF_INT64, TF_DOUBLE, TF_UINT8, TF_BOOL, TF_HALF,
                                      TF_STRING, TF_RESOURCE, (TF_DataType)0, (TF_DataType)99};
  static const int64_t SIZES[] = {-1, -1, -1, 0, 1, 2, 3, 20, INT64_MAX};
  TensorInfo input = {.key = {(const uint8_t *)"image", 5}, .type = PICK(TYPES), .rank = -1};
  if (!draw(3)) input.rank = (int)draw(MAX_RANK + 1);
  for (int i = 0; i < input.rank; i++) input.shape[i] = PICK(SIZES);
  return input;
}

/* What is read must have as many bytes as its shape says, found here in 128 bits, and all of them readable. */
static void check_tensor(const TF_Tensor *tensor, const TensorInfo *input) {
  unsigned __int128 size = TF_DataTypeSize(tensor->type);
  bool is_empty = false;
  for (int i = 0; i < tensor->rank; i++) {
    MUST(tensor->shape[i] >= 0);
    is_empty = is_empty || !tensor->shape[i];
    if (!is_empty && size < (unsigned __int128)1 << 64) size *= (uint64_t)tensor->shape[i];
  }
  if (tensor->type != TF_STRING) {
    MUST((is_empty ? 0 : size) == tensor->size);
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < tensor->size; i++) sum ^= ((uint8_t *)tensor->data)[i];
  }
  print_tensor(input, tensor);
}

static void read_a_file(const Bytes *file, const char *path) {
  TensorInfo input = draw_input();
  unlink(path); /* a new file may stay in memory: one that is cut and written again goes to the disk every time */
  FILE *written = fopen(path, "wb");
  fwrite(file->bytes, 1, file->size, written);
  fclose(written);
  TF_Tensor *tensor = read_tensor(path, &input);
  check_tensor(tensor, &input);
  tensor->free(tensor->data, tensor->size, NULL);
  free(tensor);
}

static void print_all(const TensorInfo *tensors, int count) {
  for (int i = 0; i < count; i++) {
    MUST(tensors[i].rank >= -1 && tensors[i].rank <= MAX_RANK);
    printf("%.*s %.*s %s ", TEXT(tensors[i].key), TEXT(tensors[i].node), type_name(tensors[i].type));
    print_shape(tensors[i].rank, tensors[i].shape);
    TF_Output place = find_output(NULL, &tensors[i]);
    MUST(!place.oper || (place.index >= 0 && place.index < 3));
  }
}

static void read_metadata(const Bytes *file) {
  Signature signatures[MAX_COUNT];
  TensorInfo tensors[MAX_COUNT];
  uint8_t *exact = malloc(file->size); /* so that a byte too many is seen */
  memcpy(exact, file->bytes, file->size);
  int count = read_signatures((Slice){exact, file->size}, signatures, MAX_COUNT);
  for (int i = 0; i < count; i++) {
    print_all(tensors, read_inputs(&signatures[i], tensors, MAX_COUNT));
    print_all(tensors, read_outputs(&signatures[i], tensors, MAX_COUNT));
  }
  free(exact);
}

static bool is_array(const Bytes *file) { return file->size > 6 && !memcmp(file->bytes, "\x93NUMPY", 6); }

enum { TENSOR_DEPTH = 4, SIZE_DEPTH = 6 }; /* below MetaGraphDef: pair, signature, pair, tensor, shape, size */

/* Compose a MetaGraphDef of fields that matter, nested, of random wire types and sizes. */
static size_t compose_message(uint8_t *place, size_t room, int depth) {
  size_t size = 0;
  for (uint64_t fields = draw(6); fields && room - size > 24; fields--) {
    static const uint8_t WIRES[] = {2, 2, 2, 2, 2, 2, 2, 0, 0, 1, 5, 3, 7};
    uint8_t wire = depth == SIZE_DEPTH ? 0 : PICK(WIRES), id = depth ? (uint8_t)(1 + draw(3)) : 5;
    if (depth == TENSOR_DEPTH && draw(2)) id = 3; /* shapes, often several */
    place[size++] = (uint8_t)(id << 3 | wire);
    if (wire == 0)
      for (uint64_t i = draw(11); i + 1; i--) place[size++] = (uint8_t)(draw(128) | (i ? 128 : 0));
    if (wire == 1 || wire == 5) size += wire == 1 ? 8 : 4;
    if (wire != 2) continue;
    size_t most = room - size - 1 < 120 ? room - size - 1 : 120;
    size_t inner = draw(8) && depth < SIZE_DEPTH ? compose_message(place + size + 1, most, depth + 1) : draw(most < 12 ? most : 12);
    place[size] = (uint8_t)(draw(30) ? inner : draw(128));
    size += inner + 1;
  }
  return size;
}

/* Draw a case; tell whether it is metadata. */
static bool draw_case(Bytes *file, const Bytes *corpus, int count) {
  *file = corpus[draw((uint64_t)count)];
  if (draw(2)) {
    bool is_metadata = !is_array(file);
    mutate(file);
    return is_metadata;
  }
  if (draw(3)) {
    compose(file);
    return false;
  }
  memset(file->bytes, (int)draw(256), 4096);
  file->size = compose_message(file->bytes, 4096, 0);
  return true;
}

/* Tell whether the file is read rather than refused. */
__attribute__((noinline)) static bool is_read(const Bytes *file, bool is_metadata, const char *path) {
  if (setjmp(after_case)) return false;
  if (is_metadata)
    read_metadata(file);
  else
    read_a_file(file, path);
  return true;
}

int main(int count, char **arguments) {
  static Bytes corpus[MAX_CORPUS], file;
  static char line[2048];
  char path[512], number_path[512];
  long cases = atol(arguments[1]), refused = 0;
  uint64_t seed = strtoull(arguments[2], NULL, 10);
  snprintf(path, sizeof path, "%s/file", arguments[3]);
  snprintf(number_path, sizeof number_path, "%s/case", arguments[3]);
  for (int i = 4; i < count; i++) {
    FILE *given = fopen(arguments[i], "rb");
    corpus[i - 4].size = fread(corpus[i - 4].bytes, 1, MAX_BYTES - 8192, given);
    fclose(given);
  }
  FILE *number = fopen(number_path, "w"), *results = stdout;
  stdout = fopen("/dev/null", "w");
  for (long i = 0; i < cases; i++) {
    rewind(number), fprintf(number, "%ld\n", i), fflush(number);
    state = seed * 1000003u + (uint64_t)i;
    bool is_metadata = draw_case(&file, corpus, count - 4);
    memset(line, 0, sizeof line);
    stderr = fmemopen(line, sizeof line, "w");
    bool is_right = is_read(&file, is_metadata, path);
    fclose(stderr);
    if (is_right) continue;
    refused++;
    MUST(!strncmp(line, "predict: ", 9) && strchr(line, '\n') == line + strlen(line) - 1);
  }
  fprintf(results, "%ld cases, %ld refused\n", cases, refused);
  return 0;
}
