#include "signature.h"

#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* Numbers of fields in meta_graph.proto and tensor_shape.proto. */
enum { META_GRAPH_SIGNATURES = 5, SIGNATURE_INPUTS = 1, SIGNATURE_OUTPUTS = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { TENSOR_NAME = 1, TENSOR_TYPE = 2, TENSOR_SHAPE = 3 };
enum { SHAPE_SIZE = 2, SHAPE_UNKNOWN_RANK = 3, SIZE_NUMBER = 1 };

/* No bytes, at a place that may be compared, copied and printed. */
static const Slice EMPTY = {(const uint8_t *)"", 0};

/* A field of a message: a number, or bytes (text or another message). */
typedef struct {
  uint64_t id;
  uint64_t number;
  Slice bytes;
} Field;

/* Take a number of seven bits per byte, the lowest first. */
static bool take_number(Slice *message, uint64_t *number) {
  *number = 0;
  for (int shift = 0; shift < 64 && message->size; shift += 7) {
    uint8_t byte = *message->data++;
    message->size--;
    *number |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

static bool take_bytes(Slice *message, uint64_t size, Slice *bytes) {
  if (size > message->size) return false;
  *bytes = (Slice){message->data, size};
  message->data += size;
  message->size -= size;
  return true;
}

/* Take the next field off a message; false at its end. */
static bool next_field(Slice *message, Field *field) {
  uint64_t tag, size;
  if (!take_number(message, &tag)) return false;
  *field = (Field){.id = tag >> 3, .bytes = EMPTY};
  switch (tag & 7) {
    case 0: return take_number(message, &field->number);
    case 1: return take_bytes(message, 8, &field->bytes);
    case 2: return take_number(message, &size) && take_bytes(message, size, &field->bytes);
    case 5: return take_bytes(message, 4, &field->bytes);
  }
  return false;
}

/* Take the next pair off the map that is field `id` of a message. */
static bool next_pair(Slice *message, uint64_t id, Slice *key, Slice *value) {
  Field entry, field;
  while (next_field(message, &entry)) {
    if (entry.id != id) continue;
    *key = *value = EMPTY;
    while (next_field(&entry.bytes, &field)) {
      if (field.id == ENTRY_KEY) *key = field.bytes;
      if (field.id == ENTRY_VALUE) *value = field.bytes;
    }
    return true;
  }
  return false;
}

static void read_shape(Slice shape, TensorInfo *tensor) {
  Field field, size;
  tensor->rank = 0; /* of several shapes the last one counts */
  while (next_field(&shape, &field)) {
    if (field.id == SHAPE_UNKNOWN_RANK || tensor->rank == MAX_RANK) {
      tensor->rank = -1;
      return;
    }
    if (field.id != SHAPE_SIZE) continue;
    int64_t *number = &tensor->shape[tensor->rank++];
    for (*number = 0; next_field(&field.bytes, &size);)
      if (size.id == SIZE_NUMBER) *number = (int64_t)size.number;
  }
}

static TensorInfo read_tensor_info(Slice key, Slice message) {
  TensorInfo tensor = {.key = key, .node = EMPTY};
  Field field;
  while (next_field(&message, &field)) {
    if (field.id == TENSOR_NAME) tensor.node = field.bytes;
    if (field.id == TENSOR_TYPE) tensor.type = (TF_DataType)field.number;
    if (field.id == TENSOR_SHAPE) read_shape(field.bytes, &tensor);
  }
  return tensor;
}

/* Compare the names of two signatures or tensors, with which both structures start. */
static int compare_names(const void *a, const void *b) {
  const Slice *x = a, *y = b;
  int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
  return order ? order : (x->size > y->size) - (x->size < y->size);
}

static int read_tensors(Slice message, uint64_t id, TensorInfo *tensors, int max) {
  Slice key, value;
  int count = 0;
  for (; next_pair(&message, id, &key, &value); count++) {
    if (count == max) fail("A signature must have at most %d inputs and %d outputs.", max, max);
    tensors[count] = read_tensor_info(key, value);
  }
  qsort(tensors, (size_t)count, sizeof *tensors, compare_names);
  return count;
}

int read_signatures(Slice meta_graph, Signature *signatures, int max) {
  Slice name, message;
  int count = 0;
  while (next_pair(&meta_graph, META_GRAPH_SIGNATURES, &name, &message)) {
    if (name.size > 1 && !memcmp(name.data, "__", 2)) continue; /* TensorFlow's own */
    if (count == max) fail("A SavedModel must have at most %d signatures.", max);
    signatures[count++] = (Signature){name, message};
  }
  qsort(signatures, (size_t)count, sizeof *signatures, compare_names);
  return count;
}

int read_inputs(const Signature *signature, TensorInfo *inputs, int max) {
  return read_tensors(signature->message, SIGNATURE_INPUTS, inputs, max);
}

int read_outputs(const Signature *signature, TensorInfo *outputs, int max) {
  return read_tensors(signature->message, SIGNATURE_OUTPUTS, outputs, max);
}

TF_Output find_output(TF_Graph *graph, const TensorInfo *tensor) {
  TF_Output place = {NULL, 0};
  char *name = calloc(tensor->node.size + 1, 1);
  if (!name) return place;
  memcpy(name, tensor->node.data, tensor->node.size);
  char *colon = strrchr(name, ':');
  if (colon) *colon = '\0';
  long index = colon ? strtol(colon + 1, NULL, 10) : 0;
  TF_Operation *operation = TF_GraphOperationByName(graph, name);
  if (operation && index >= 0 && index < TF_OperationNumOutputs(operation)) place = (TF_Output){operation, (int)index};
  free(name);
  return place;
}
