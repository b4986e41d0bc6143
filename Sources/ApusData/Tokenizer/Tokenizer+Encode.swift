import Dispatch
import Synchronization

extension Tokenizer {
  /// The tokens of a text. `addSpecialTokens` adds what the tokenizer's template puts around a text, such as
  /// Llama 3's begin-of-text token; added tokens that stand in the text are found either way.
  package func encode(_ text: String, addSpecialTokens: Bool = false) -> [Int32] {
    var text = text
    return text.withUTF8 { encode($0, addSpecialTokens: addSpecialTokens) }
  }

  /// The tokens of a UTF-8 text.
  package func encode(_ bytes: UnsafeBufferPointer<UInt8>, addSpecialTokens: Bool = false) -> [Int32] {
    let tokens = withSession { session in
      session.encode(bytes)
      return session.output.array
    }
    return addSpecialTokens ? definition.prefix + tokens + definition.suffix : tokens
  }

  /// The tokens of each of many UTF-8 texts, on several threads.
  package func encode(_ texts: [UnsafeBufferPointer<UInt8>], threads: Int) -> [[Int32]] {
    var results = [[Int32]](repeating: [], count: texts.count)
    guard threads > 1, texts.count > 1 else {
      withSession { session in
        for (index, text) in texts.enumerated() {
          session.output.removeAll()
          session.encode(text)
          results[index] = session.output.array
        }
      }
      return results
    }
    results.withUnsafeMutableBufferPointer { buffer in
      let work = SharedWork(texts: texts, results: buffer.baseAddress!)
      DispatchQueue.concurrentPerform(iterations: min(threads, texts.count)) { _ in
        withSession { session in
          while let index = work.next() {
            session.output.removeAll()
            session.encode(work.texts[index])
            work.results[index] = session.output.array
          }
        }
      }
    }
    return results
  }

  /// The tokens of one UTF-8 text, on several threads; the same tokens as on one.
  package func encode(_ bytes: UnsafeBufferPointer<UInt8>, threads: Int) -> [Int32] {
    guard threads > 1 else { return encode(bytes) }
    let pieces = pieces(of: bytes, size: max(64 << 10, bytes.count / (threads * 4)))
    return Array(encode(pieces.map { UnsafeBufferPointer(rebasing: bytes[$0]) }, threads: threads).joined())
  }

  /// Cuts a text into pieces of about that many bytes whose tokens, joined, are the tokens of the whole.
  ///
  /// A cut stands after a newline between two visible ASCII characters: there both built-in rules end a
  /// pre-token whatever follows. Texts without such places, and other rules, stay whole.
  package func pieces(of bytes: UnsafeBufferPointer<UInt8>, size: Int) -> [Range<Int>] {
    var (pieces, start): ([Range<Int>], Int) = ([], 0)
    if tables.canCutAtNewlines {
      var position = size
      while position + 1 < bytes.count {
        if bytes[position] == 0x0a, isVisible(bytes[position - 1]), isVisible(bytes[position + 1]) {
          pieces.append(start..<position + 1)
          start = position + 1
          position = start + size
        } else {
          position += 1
        }
      }
    }
    pieces.append(start..<bytes.count)
    return pieces
  }

  private func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7f }
}

/// Texts to encode and where the results go, handed out one by one.
///
/// `@unchecked Sendable`: every index is given to one thread only, and the buffers outlive the loop.
private final class SharedWork: @unchecked Sendable {
  let texts: [UnsafeBufferPointer<UInt8>]
  let results: UnsafeMutablePointer<[Int32]>
  private let taken = Atomic<Int>(0)

  init(texts: [UnsafeBufferPointer<UInt8>], results: UnsafeMutablePointer<[Int32]>) {
    (self.texts, self.results) = (texts, results)
  }

  func next() -> Int? {
    let index = taken.wrappingAdd(1, ordering: .relaxed).oldValue
    return index < texts.count ? index : nil
  }
}
