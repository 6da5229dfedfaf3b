// Runs a fuzz target without libFuzzer: on every file of a corpus folder, and on fixed mutations of each.
//
//   fuzz_gguf CORPUS_FOLDER...
//
// LORIKEET_FUZZ_MUTATIONS (300) is the number of mutations of each file.
// The mutations depend on the file's name order and content alone, so a failure repeats. An input that
// crashes stays behind as <target>.crash in the working folder.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::vector<uint8_t> current;  // the input that is running
std::string crash_path;

uint64_t next_random(uint64_t& state) {
  state += 0x9E3779B97F4A7C15ULL;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

// One to four edits: flip a bit, set a byte to an extreme, cut the end, repeat a stretch.
std::vector<uint8_t> mutate(std::vector<uint8_t> bytes, uint64_t& state) {
  const uint64_t edits = 1 + next_random(state) % 4;
  for (uint64_t i = 0; i < edits && !bytes.empty(); ++i) {
    const size_t at = next_random(state) % bytes.size();
    switch (next_random(state) % 4) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1U << (next_random(state) % 8));
        break;
      case 1:
        bytes[at] = next_random(state) % 2 != 0 ? 0xFF : 0x00;
        break;
      case 2:
        bytes.resize(at);
        break;
      default: {
        const size_t length = 1 + next_random(state) % 16;
        const std::vector<uint8_t> piece(
            bytes.begin() + static_cast<ptrdiff_t>(at),
            bytes.begin() + static_cast<ptrdiff_t>(std::min(at + length, bytes.size())));
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), piece.begin(), piece.end());
      }
    }
  }
  return bytes;
}

void run(std::vector<uint8_t> bytes) {
  current = std::move(bytes);
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

void keep_input(int signal) {
  if (std::FILE* file = std::fopen(crash_path.c_str(), "wb")) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
  }
  std::fprintf(stderr, "signal %d; the input is in %s\n", signal, crash_path.c_str());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER...\n", argv[0]);
    return 2;
  }
  crash_path = std::filesystem::path(argv[0]).filename().string() + ".crash";
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) std::signal(signal, keep_input);
  const char* wanted = std::getenv("LORIKEET_FUZZ_MUTATIONS");
  const long mutations = wanted != nullptr ? std::atol(wanted) : 300;
  run({});
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  uint64_t state = 1;
  for (const auto& path : files) {
    std::ifstream stream(path, std::ios::binary);
    const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(stream), {}};
    run(bytes);
    for (long i = 0; i < mutations; ++i) run(mutate(bytes, state));
  }
  std::printf("%zu files, %ld mutations of each\n", files.size(), mutations);
  return files.empty() ? 1 : 0;
}
