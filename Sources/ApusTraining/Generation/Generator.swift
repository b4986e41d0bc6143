import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime

/// Continues a sequence of tokens through a key-value cache.
package final class Generator {
  package let executor: Executor
  /// Most positions of prompt and continuation together.
  package let capacity: Int
  private let prefillLength: Int
  private var position = 0

  /// Prepares the cache for `capacity` positions; weights are the caller's to load into `executor`.
  package init(
    _ configuration: ModelConfiguration, capacity: Int, threads: Int, prefillLength: Int = 64
  ) throws(RuntimeFailure) {
    self.capacity = min(capacity, configuration.maximumSequenceLength)
    self.prefillLength = min(prefillLength, self.capacity)
    executor = try Executor(
      .generation(configuration, capacity: self.capacity, prefillLength: self.prefillLength), threads: threads
    )
  }

  /// Room for tokens left in the cache.
  package var room: Int { capacity - position }

  /// Forgets all tokens.
  package func reset() { position = 0 }

  /// Appends `tokens` to the sequence and gives the logits after the last, `[V]`; they are valid until the
  /// next call. Stops on an empty list or when there is no room for it.
  package func append(_ tokens: some Collection<Int32>) -> UnsafeMutableBufferPointer<Float> {
    require(!tokens.isEmpty, "generation: no token to continue from")
    require(tokens.count <= room, "generation: \(tokens.count) tokens, but room for \(room)")
    var rest = tokens[...]
    while !rest.isEmpty {
      let kind: Segment.Kind = rest.count >= prefillLength && prefillLength > 1 ? .prefill : .decode
      let count = kind == .prefill ? prefillLength : 1
      let inputs = executor.ints(executor.program.tokens)
      for (index, token) in rest.prefix(count).enumerated() { inputs[index] = token }
      if let start = executor.program.start { executor.ints(start)[0] = Int32(position) }
      executor.runAlone(kind)
      position += count
      rest = rest.dropFirst(count)
    }
    guard let logits = executor.program.logits else {
      require(false, "the program has no logits")
      return UnsafeMutableBufferPointer(start: nil, count: 0)
    }
    return executor.floats(logits)
  }

  /// Continues `prompt` token by token until `visit` returns false or `count` tokens are there. Of a prompt
  /// that does not fit the cache its end is kept; when the cache is full, the older half of the sequence is
  /// forgotten and the rest read again.
  package func generate(
    _ prompt: [Int32], count: Int, choosing sampling: Sampling, _ visit: (Int32) throws -> Bool
  ) rethrows {
    reset()
    var chooser = TokenChooser(sampling)
    var sequence = prompt.suffix(max(1, prompt.count < capacity ? capacity : capacity / 2))
    var logits = append(sequence)
    for index in 0..<count {
      let token = chooser.choose(logits)
      guard try visit(token), index + 1 < count else { return }
      sequence.append(token)
      if room > 0 {
        logits = append(CollectionOfOne(token))
      } else {
        reset()
        sequence = sequence.suffix(max(1, capacity / 2))
        logits = append(sequence)
      }
    }
  }
}
