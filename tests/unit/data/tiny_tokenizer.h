#pragma once
// A byte-level tokenizer of a few letters with one merge across a space, so that a token may reach over the
// border of prompt and completion.
#include "text/tokenizer.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {

enum TinyId : int32_t { a = 0, b, x, colon, space, newline, space_a, begin, end, u, s, e, r, i, t, n };

class TinyTokenizer : public TempFolder {
 protected:
  Tokenizer tokenizer(bool add_bos) const {
    write("tokenizer.json", R"({"version":"1.0","added_tokens":[
      {"id":7,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
      {"id":8,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
      "normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
      "post_processor":null,"decoder":{"type":"ByteLevel"},
      "model":{"type":"BPE","vocab":{"a":0,"b":1,"x":2,":":3,"\u0120":4,"\u010a":5,"\u0120a":6,"u":9,"s":10,"e":11,"r":12,
      "i":13,"t":14,"n":15},"merges":["\u0120 a"]}})");
    write("tokenizer_config.json",
          fmt::format(R"({{"bos_token":"<s>","eos_token":"</s>","add_bos_token":{}}})", add_bos));
    return Tokenizer::from_folder(folder_);
  }
};

}  // namespace lorikeet::testing
