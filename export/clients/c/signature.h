/* The signatures of a SavedModel: which tensors they take and answer, and where these are in its graph.
 *
 * TensorFlow gives them as a serialized MetaGraphDef. The few messages of it that matter are read here, without a
 * library for protocol buffers; what is returned points into the buffer, which must outlive it.
 */

#ifndef SIGNATURE_H
#define SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensorflow/c/c_api.h"

enum { MAX_RANK = 8 };

/* Bytes, or text that no zero ends. Print it as printf("%.*s", TEXT(slice)). */
typedef struct {
  const uint8_t *data;
  size_t size;
} Slice;

#define TEXT(slice) (int)(slice).size, (const char *)(slice).data

/* An input or output. */
typedef struct {
  Slice key;               /* its name for clients: "image" */
  Slice node;              /* its name in the graph: "serving_default_image:0" */
  TF_DataType type;
  int rank;                /* -1: any */
  int64_t shape[MAX_RANK]; /* -1: any size */
} TensorInfo;

/* An entry point. */
typedef struct {
  Slice name;
  Slice message;
} Signature;

/* Read the signatures of a MetaGraphDef, or what one takes or answers, in the order of names. Returns how many there
 * are; fails if these are more than `max`. */
int read_signatures(Slice meta_graph, Signature *signatures, int max);
int read_inputs(const Signature *signature, TensorInfo *inputs, int max);
int read_outputs(const Signature *signature, TensorInfo *outputs, int max);

/* Return where a tensor of a signature is in a graph; its operation is NULL if it is not there. */
TF_Output find_output(TF_Graph *graph, const TensorInfo *tensor);

#endif
