/* A client of an exported model in C: no Python, only TensorFlow's libraries.
 *
 *   predict EXPORT                           lists the signatures of a SavedModel
 *   predict EXPORT SIGNATURE NAME=FILE ...   answers a request
 *
 * for instance
 *
 *   predict exported/digits/1 left image=images.npy
 *   predict exported/digits/1 image_bytes image_bytes=photo.png
 *
 * Every input of the signature is given a file: an array by numpy.save, of the input's type and shape, or for an input
 * of strings any file, a photo for instance, which becomes a batch of one. For every output it prints a line with
 * name, type and shape, and a line of numbers per example; 9 digits, which is exact for float32. A mistake is one line
 * on stderr, "predict: ...", and exit code 1. TensorFlow logs to stderr too, less with TF_CPP_MIN_LOG_LEVEL=3.
 *
 * Build it with make; see Makefile.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "arrays.h"
#include "fail.h"
#include "signature.h"
#include "tensorflow/c/c_api.h"

enum { MAX_SIGNATURES = 1024, MAX_TENSORS = 256 };

/* A SavedModel in memory. */
typedef struct {
  TF_Graph *graph;
  TF_Session *session;
  TF_Buffer *meta_graph;
} Model;

static void check(TF_Status *status, const char *wanted) {
  if (TF_GetCode(status) != TF_OK) fail("%s Received: %s", wanted, TF_Message(status));
}

static Model load(const char *path) {
  Model model = {TF_NewGraph(), NULL, TF_NewBuffer()};
  TF_Status *status = TF_NewStatus();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  model.session =
      TF_LoadSessionFromSavedModel(options, NULL, path, tags, 1, model.graph, model.meta_graph, status);
  check(status, "EXPORT must be a SavedModel.");
  TF_DeleteSessionOptions(options);
  TF_DeleteStatus(status);
  return model;
}

static void unload(Model model) {
  TF_Status *status = TF_NewStatus();
  TF_DeleteSession(model.session, status);
  TF_DeleteGraph(model.graph);
  TF_DeleteBuffer(model.meta_graph);
  TF_DeleteStatus(status);
}

static int signatures_of(const Model *model, Signature *signatures) {
  Slice meta_graph = {model->meta_graph->data, model->meta_graph->length};
  return read_signatures(meta_graph, signatures, MAX_SIGNATURES);
}

static bool is(Slice text, const char *wanted, size_t size) {
  return text.size == size && !memcmp(text.data, wanted, size);
}

static void print_specs(const TensorInfo *tensors, int count) {
  for (int i = 0; i < count; i++) {
    printf("%s %.*s %s ", i ? "," : "", TEXT(tensors[i].key), type_name(tensors[i].type));
    print_shape(tensors[i].rank, tensors[i].shape);
  }
}

static void list_signatures(const Model *model) {
  Signature signatures[MAX_SIGNATURES];
  TensorInfo tensors[MAX_TENSORS];
  int count = signatures_of(model, signatures);
  for (int i = 0; i < count; i++) {
    printf("%.*s:", TEXT(signatures[i].name));
    print_specs(tensors, read_inputs(&signatures[i], tensors, MAX_TENSORS));
    printf(" ->");
    print_specs(tensors, read_outputs(&signatures[i], tensors, MAX_TENSORS));
    puts("");
  }
}

static Signature find_signature(const Model *model, const char *name) {
  Signature signatures[MAX_SIGNATURES];
  int count = signatures_of(model, signatures);
  char known[512] = "";
  for (int i = 0; i < count; i++) {
    if (is(signatures[i].name, name, strlen(name))) return signatures[i];
    size_t end = strlen(known);
    snprintf(known + end, sizeof known - end, "%s%.*s", i ? ", " : "", TEXT(signatures[i].name));
  }
  fail("SIGNATURE must be one of %s. Received: '%s'", known, name);
}

/* Return the file that the arguments NAME=FILE give for an input. */
static const char *file_of(const TensorInfo *input, int num_arguments, char **arguments) {
  for (int i = 0; i < num_arguments; i++) {
    size_t size = strcspn(arguments[i], "=");
    if (arguments[i][size] && is(input->key, arguments[i], size)) return arguments[i] + size + 1;
  }
  fail("Input '%.*s' must be given, as %.*s=FILE.", TEXT(input->key), TEXT(input->key));
}

/* Find where tensors are in the graph. */
static void find(const Model *model, const TensorInfo *tensors, int count, TF_Output *places) {
  for (int i = 0; i < count; i++) {
    places[i] = find_output(model->graph, &tensors[i]);
    if (!places[i].oper) fail("The graph must hold '%.*s'. Received one without it", TEXT(tensors[i].node));
  }
}

static void answer(const Model *model, const Signature *signature, int num_arguments, char **arguments) {
  TensorInfo inputs[MAX_TENSORS], outputs[MAX_TENSORS];
  TF_Output sources[MAX_TENSORS], targets[MAX_TENSORS];
  TF_Tensor *given[MAX_TENSORS], *answers[MAX_TENSORS];
  int num_inputs = read_inputs(signature, inputs, MAX_TENSORS);
  int num_outputs = read_outputs(signature, outputs, MAX_TENSORS);
  find(model, inputs, num_inputs, sources);
  find(model, outputs, num_outputs, targets);
  for (int i = 0; i < num_inputs; i++)
    given[i] = read_tensor(file_of(&inputs[i], num_arguments, arguments), &inputs[i]);
  if (num_inputs != num_arguments)
    fail("Arguments must be one NAME=FILE per input, %d. Received: %d", num_inputs, num_arguments);
  TF_Status *status = TF_NewStatus();
  TF_SessionRun(model->session, NULL, sources, given, num_inputs, targets, answers, num_outputs, NULL, 0, NULL, status);
  check(status, "The model must accept the inputs.");
  TF_DeleteStatus(status);
  for (int i = 0; i < num_inputs; i++) TF_DeleteTensor(given[i]);
  for (int i = 0; i < num_outputs; i++) {
    print_tensor(&outputs[i], answers[i]);
    TF_DeleteTensor(answers[i]);
  }
}

int main(int num_arguments, char **arguments) {
  if (num_arguments < 2) fail("Arguments must be EXPORT [SIGNATURE NAME=FILE ...]. Received: none");
  Model model = load(arguments[1]);
  if (num_arguments == 2) {
    list_signatures(&model);
  } else {
    Signature signature = find_signature(&model, arguments[2]);
    answer(&model, &signature, num_arguments - 3, arguments + 3);
  }
  unload(model);
  return 0;
}
