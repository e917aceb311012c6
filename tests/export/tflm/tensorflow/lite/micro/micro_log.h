// A stand-in for the header of that name in TensorFlow Lite Micro.
#pragma once

void MicroPrintf(const char* format, ...);
