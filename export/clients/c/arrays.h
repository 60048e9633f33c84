/* Tensors from files, and tensors as text. */

#ifndef ARRAYS_H
#define ARRAYS_H

#include <stdio.h>

#include "signature.h"
#include "tensorflow/c/c_api.h"

/* Return the name of a type, such as "float32". */
const char *type_name(TF_DataType type);

/* Read what an input takes: an array that NumPy has saved (.npy), or for a string any file, as a batch of one.
 * Fails unless type and shape are the input's. */
TF_Tensor *read_tensor(const char *path, const TensorInfo *input);

/* Print a line with name, type and shape, then a line per example. */
void print_tensor(const TensorInfo *output, const TF_Tensor *tensor);

/* Print a shape, such as [-1, 10]. */
void print_shape(int rank, const int64_t *shape);

#endif
