// A stand-in for the header of that name in TensorFlow Lite Micro. It declares
// what that one does for builtin operators as of 2026-08-20, commit
// 90b983c2b3f1.
#pragma once

#include <cstring>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

class MicroOpResolver {
 public:
  unsigned int count = 0;
  const char* operators[200];
};

#define REGISTRATION(operation, name) \
  TfLiteStatus name() { return Add(#operation); }

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  REGISTRATION(ABS, AddAbs)
  REGISTRATION(ADD, AddAdd)
  REGISTRATION(ADD_N, AddAddN)
  REGISTRATION(ARG_MAX, AddArgMax)
  REGISTRATION(ARG_MIN, AddArgMin)
  REGISTRATION(ASSIGN_VARIABLE, AddAssignVariable)
  REGISTRATION(AVERAGE_POOL_2D, AddAveragePool2D)
  REGISTRATION(BATCH_MATMUL, AddBatchMatMul)
  REGISTRATION(BATCH_TO_SPACE_ND, AddBatchToSpaceNd)
  REGISTRATION(BROADCAST_ARGS, AddBroadcastArgs)
  REGISTRATION(BROADCAST_TO, AddBroadcastTo)
  REGISTRATION(CALL_ONCE, AddCallOnce)
  REGISTRATION(CAST, AddCast)
  REGISTRATION(CEIL, AddCeil)
  REGISTRATION(CONCATENATION, AddConcatenation)
  REGISTRATION(CONV_2D, AddConv2D)
  REGISTRATION(COS, AddCos)
  REGISTRATION(CUMSUM, AddCumSum)
  REGISTRATION(DEPTHWISE_CONV_2D, AddDepthwiseConv2D)
  REGISTRATION(DEPTH_TO_SPACE, AddDepthToSpace)
  REGISTRATION(DEQUANTIZE, AddDequantize)
  REGISTRATION(DIV, AddDiv)
  REGISTRATION(DYNAMIC_UPDATE_SLICE, AddDynamicUpdateSlice)
  REGISTRATION(ELU, AddElu)
  REGISTRATION(EMBEDDING_LOOKUP, AddEmbeddingLookup)
  REGISTRATION(EQUAL, AddEqual)
  REGISTRATION(EXP, AddExp)
  REGISTRATION(EXPAND_DIMS, AddExpandDims)
  REGISTRATION(FILL, AddFill)
  REGISTRATION(FLOOR, AddFloor)
  REGISTRATION(FLOOR_DIV, AddFloorDiv)
  REGISTRATION(FLOOR_MOD, AddFloorMod)
  REGISTRATION(FULLY_CONNECTED, AddFullyConnected)
  REGISTRATION(GATHER, AddGather)
  REGISTRATION(GATHER_ND, AddGatherNd)
  REGISTRATION(GREATER, AddGreater)
  REGISTRATION(GREATER_EQUAL, AddGreaterEqual)
  REGISTRATION(HARD_SWISH, AddHardSwish)
  REGISTRATION(IF, AddIf)
  REGISTRATION(L2_NORMALIZATION, AddL2Normalization)
  REGISTRATION(L2_POOL_2D, AddL2Pool2D)
  REGISTRATION(LEAKY_RELU, AddLeakyRelu)
  REGISTRATION(LESS, AddLess)
  REGISTRATION(LESS_EQUAL, AddLessEqual)
  REGISTRATION(LOG, AddLog)
  REGISTRATION(LOGICAL_AND, AddLogicalAnd)
  REGISTRATION(LOGICAL_NOT, AddLogicalNot)
  REGISTRATION(LOGICAL_OR, AddLogicalOr)
  REGISTRATION(LOGISTIC, AddLogistic)
  REGISTRATION(LOG_SOFTMAX, AddLogSoftmax)
  REGISTRATION(MAXIMUM, AddMaximum)
  REGISTRATION(MAX_POOL_2D, AddMaxPool2D)
  REGISTRATION(MEAN, AddMean)
  REGISTRATION(MINIMUM, AddMinimum)
  REGISTRATION(MIRROR_PAD, AddMirrorPad)
  REGISTRATION(MUL, AddMul)
  REGISTRATION(NEG, AddNeg)
  REGISTRATION(NOT_EQUAL, AddNotEqual)
  REGISTRATION(PACK, AddPack)
  REGISTRATION(PAD, AddPad)
  REGISTRATION(PADV2, AddPadV2)
  REGISTRATION(PRELU, AddPrelu)
  REGISTRATION(QUANTIZE, AddQuantize)
  REGISTRATION(READ_VARIABLE, AddReadVariable)
  REGISTRATION(REDUCE_ALL, AddReduceAll)
  REGISTRATION(REDUCE_MAX, AddReduceMax)
  REGISTRATION(REDUCE_MIN, AddReduceMin)
  REGISTRATION(RELU, AddRelu)
  REGISTRATION(RELU6, AddRelu6)
  REGISTRATION(RESHAPE, AddReshape)
  REGISTRATION(RESIZE_BILINEAR, AddResizeBilinear)
  REGISTRATION(RESIZE_NEAREST_NEIGHBOR, AddResizeNearestNeighbor)
  REGISTRATION(REVERSE_V2, AddReverseV2)
  REGISTRATION(ROUND, AddRound)
  REGISTRATION(RSQRT, AddRsqrt)
  REGISTRATION(SELECT_V2, AddSelectV2)
  REGISTRATION(SHAPE, AddShape)
  REGISTRATION(SIN, AddSin)
  REGISTRATION(SLICE, AddSlice)
  REGISTRATION(SOFTMAX, AddSoftmax)
  REGISTRATION(SPACE_TO_BATCH_ND, AddSpaceToBatchNd)
  REGISTRATION(SPACE_TO_DEPTH, AddSpaceToDepth)
  REGISTRATION(SPLIT, AddSplit)
  REGISTRATION(SPLIT_V, AddSplitV)
  REGISTRATION(SQRT, AddSqrt)
  REGISTRATION(SQUARE, AddSquare)
  REGISTRATION(SQUARED_DIFFERENCE, AddSquaredDifference)
  REGISTRATION(SQUEEZE, AddSqueeze)
  REGISTRATION(STRIDED_SLICE, AddStridedSlice)
  REGISTRATION(SUB, AddSub)
  REGISTRATION(SUM, AddSum)
  REGISTRATION(SVDF, AddSvdf)
  REGISTRATION(TANH, AddTanh)
  REGISTRATION(TRANSPOSE, AddTranspose)
  REGISTRATION(TRANSPOSE_CONV, AddTransposeConv)
  REGISTRATION(UNIDIRECTIONAL_SEQUENCE_LSTM, AddUnidirectionalSequenceLSTM)
  REGISTRATION(UNPACK, AddUnpack)
  REGISTRATION(VAR_HANDLE, AddVarHandle)
  REGISTRATION(WHILE, AddWhile)
  REGISTRATION(ZEROS_LIKE, AddZerosLike)

 private:
  TfLiteStatus Add(const char* operation) {
    for (unsigned int i = 0; i < count; ++i) {
      if (std::strcmp(operators[i], operation) == 0) return kTfLiteError;
    }
    operators[count++] = operation;
    return count <= tOpCount ? kTfLiteOk : kTfLiteError;
  }
};

}  // namespace tflite
