import ApusCore
import Foundation

/// Turns texts into a dataset: `train.bin`, `validation.bin` and `dataset.json` in one folder.
///
/// Validation holds the last part of the texts, unless texts of its own are given. The cut is a position in
/// the bytes of all documents, one after the other; a text file that it falls into is cut after the next
/// newline, a line of JSON stays whole on the side of training.
package struct DatasetPreparation {
  package var corpus: Corpus
  /// Texts for validation, instead of the last part of `corpus`.
  package var validationCorpus: Corpus?
  /// The part of the bytes that is held out when there is no `validationCorpus`; 0 for none.
  package var validationFraction = 0.1
  package var threads = 1

  package init(
    corpus: Corpus, validationCorpus: Corpus? = nil, validationFraction: Double = 0.1, threads: Int = 1
  ) {
    (self.corpus, self.validationCorpus) = (corpus, validationCorpus)
    (self.validationFraction, self.threads) = (validationFraction, threads)
  }

  /// Writes the dataset into a folder, which is made if it is missing. `progress` gets the bytes done so far.
  package func run(
    tokenizer: Tokenizer, folder: URL, progress: (Int) -> Void = { _ in }
  ) throws(DataError) -> DatasetSummary {
    guard validationFraction >= 0, validationFraction < 1 else {
      throw .request(
        "validation fraction \(validationFraction) is not from 0 to below 1; use for example 0.1")
    }
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw .file(path: folder.path, problem: "cannot make the folder")
    }
    var train = try SplitEncoder(folder: folder, name: "train.bin", tokenizer: tokenizer, threads: threads)
    var validation = try SplitEncoder(
      folder: folder, name: "validation.bin", tokenizer: tokenizer, threads: threads)
    let cut = try cut()
    var done = 0
    try corpus.forEachDocument { document throws(DataError) in
      let held = heldOutStart(document, cut: cut - done)
      if held > 0 { try train.append(document, 0..<held) { progress(done + $0) } }
      if held < document.bytes.count {
        try validation.append(document, held..<document.bytes.count) { progress(done + $0) }
      }
      done += document.bytes.count
      progress(done)
    }
    try validationCorpus?.forEachDocument { document throws(DataError) in
      try validation.append(document, 0..<document.bytes.count) { progress(done + $0) }
      done += document.bytes.count
      progress(done)
    }
    let wantsValidation = validationCorpus != nil || validationFraction > 0
    let validationSplit = try validation.finish(
      keep: wantsValidation, from: (validationCorpus ?? corpus).files)
    let trainSplit = try train.finish(keep: true, from: corpus.files)
    let summary = DatasetSummary(
      tokenizerFingerprint: tokenizer.fingerprint, vocabularySize: tokenizer.vocabularySize,
      train: trainSplit!,
      validation: validationSplit, sources: try sources())
    try summary.write(to: folder.appending(path: "dataset.json"))
    return summary
  }

  /// Gives the texts that are not held out, for training a tokenizer.
  package func forEachTrainingText(_ body: (UnsafeBufferPointer<UInt8>) -> Void) throws(DataError) {
    let cut = try cut()
    var done = 0
    try corpus.forEachDocument { document throws(DataError) in
      let held = heldOutStart(document, cut: cut - done)
      if held > 0 { body(UnsafeBufferPointer(rebasing: document.bytes[..<held])) }
      done += document.bytes.count
    }
  }

  /// The position in the bytes of all documents at which validation begins.
  private func cut() throws(DataError) -> Int {
    guard validationCorpus == nil, validationFraction > 0 else { return Int.max }
    let total = try corpus.byteCount()
    return total - Int((Double(total) * validationFraction).rounded())
  }

  /// Where in a document validation begins, for a cut at that offset from the document's start.
  private func heldOutStart(_ document: Document, cut: Int) -> Int {
    let count = document.bytes.count
    if cut <= 0 { return 0 }
    guard cut < count, document.isWholeFile else { return count }
    if document.bytes[cut - 1] == 0x0a { return cut }
    guard let newline = document.bytes[cut...].firstIndex(of: 0x0a) else { return count }
    return newline + 1
  }

  private func sources() throws(DataError) -> [DatasetSummary.Source] {
    var sources: [DatasetSummary.Source] = []
    for path in corpus.files + (validationCorpus?.files ?? []) {
      sources.append(.init(path: path, bytes: try MappedFile(path: path).bytes.count))
    }
    return sources
  }
}

/// Encodes the documents of one split in batches, on several threads, into a token file.
private struct SplitEncoder: ~Copyable {
  private let name: String
  private let path: String
  private let tokenizer: Tokenizer
  private let threads: Int
  private var writer: TokenFileWriter
  private var texts: [UnsafeBufferPointer<UInt8>] = []
  private var startsDocument: [Bool] = []
  private var waiting: [Document] = []
  private var waitingBytes = 0
  private var bytes = 0
  private var documents = 0

  private static let pieceByteCount = 1 << 20

  init(folder: URL, name: String, tokenizer: Tokenizer, threads: Int) throws(DataError) {
    (self.name, self.tokenizer, self.threads) = (name, tokenizer, threads)
    path = folder.appending(path: name).path
    writer = try TokenFileWriter(
      path: path, format: TokenFileFormat(vocabularySize: tokenizer.vocabularySize))
  }

  /// Adds a part of a document; `progress` gets the bytes of the document that are done.
  mutating func append(
    _ document: Document, _ range: Range<Int>, progress: (Int) -> Void
  ) throws(DataError) {
    let text = UnsafeBufferPointer(rebasing: document.bytes[range])
    guard text.count > 0 else { return }
    if documents > 0, tokenizer.endOfText == nil {
      throw .request(
        "the tokenizer has no end-of-text token to put between documents; add one, such as <|endoftext|>")
    }
    waiting.append(document)
    for (index, piece) in tokenizer.pieces(of: text, size: Self.pieceByteCount).enumerated() {
      texts.append(UnsafeBufferPointer(rebasing: text[piece]))
      startsDocument.append(index == 0)
      waitingBytes += piece.count
      if waitingBytes >= Self.pieceByteCount * threads * 2 {
        try encodeWaiting()
        progress(range.lowerBound + piece.upperBound)
      }
    }
    if !texts.isEmpty { waiting = waiting.suffix(texts.count) }
    bytes += text.count
    documents += 1
  }

  private mutating func encodeWaiting() throws(DataError) {
    let encoded = tokenizer.encode(texts, threads: threads)
    for (tokens, isStart) in zip(encoded, startsDocument) {
      if isStart, writer.count > 0, let separator = tokenizer.endOfText {
        try writer.append(CollectionOfOne(separator))
      }
      try writer.append(tokens)
    }
    (texts, startsDocument, waitingBytes) = ([], [], 0)
    waiting = waiting.suffix(1)
  }

  /// Finishes the file; nil, and no file, where it is not wanted.
  ///
  /// - Parameter files: where its text comes from, for the error of an empty split.
  consuming func finish(keep: Bool, from files: [String]) throws(DataError) -> DatasetSummary.Split? {
    guard keep else { return nil }
    try encodeWaiting()
    guard writer.count > 0 else {
      let more = files.count > 1 ? " and \(files.count - 1) more" : ""
      throw .request(
        "\(files[0])\(more): \(name) would be empty; give more text, or another validation fraction")
    }
    let split = DatasetSummary.Split(file: name, tokens: writer.count, bytes: bytes, documents: documents)
    try writer.finish()
    return split
  }
}
