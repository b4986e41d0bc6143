/// Everything that decides how a byte-level BPE tokenizer encodes: what `tokenizer.json` holds.
package struct TokenizerDefinition: Hashable, Sendable {
  /// The model's entries by id, written in the byte-level alphabet; nil where the model has none.
  package var vocabulary: [String?]
  /// The merges, lowest rank first.
  package var merges: [Merge]
  /// Whether a pre-token that is an entry as a whole becomes that entry, whatever the merges say.
  package var ignoresMerges = false
  package var addedTokens: [AddedToken] = []
  /// The pre-tokenisation rules, each inside the pieces of the one before; none leaves the text whole.
  package var splitRules: [SplitRule] = [.gpt2]
  /// Whether a text that starts without a space gets one.
  package var addsPrefixSpace = false
  /// What `addSpecialTokens` puts before and after a text, such as Llama 3's begin-of-text token.
  package var prefix: [Int32] = []
  package var suffix: [Int32] = []

  package init(vocabulary: [String?], merges: [Merge]) {
    (self.vocabulary, self.merges) = (vocabulary, merges)
  }
}
