// Reads a data file row by row, by the detected format and by every format.
#include "data/formats/format.h"
#include "fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const fuzz::InputFile file(data, size);
  return fuzz::answers([&] {
    const RowSource source({file.path()});
    fuzz::answers([&] { detect_format(source, {}); });
    for (size_t row = 0; row < source.size(); ++row) {
      fuzz::answers([&] {
        const Json value = source.row(row);
        for (const DatasetFormat* format : dataset_formats()) {
          fuzz::answers([&] { format->parse(value, {}, source.place(row)); });
        }
      });
    }
  });
}
