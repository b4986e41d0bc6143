import ApusConfiguration
import ApusCore
import ApusData
import Foundation

/// The tokens of a run: what it trains on, what it is validated on, and the tokenizer between them and text.
package struct RunData {
  /// Absent when all sources are token files and no tokenizer is named.
  package let tokenizer: Tokenizer?
  package let vocabularySize: Int
  package let trainingFiles: [TokenFile]
  package let weights: [Double]
  package let validation: ValidationTokens?

  package var trainingTokens: Int { trainingFiles.reduce(0) { $0 + $1.count } }

  /// What tells the data of one rank from another's: the numbers of tokens, and a checksum of up to 65,536 of each
  /// file's, spread over it.
  var fingerprint: String {
    let files = trainingFiles + (validation?.files ?? [])
    return files.map { file in
      let step = max(1, file.count / 65_536)
      let sample = stride(from: 0, to: file.count, by: step).map { file[$0] }
      let checksum = sample.withUnsafeBytes { TextChecksum.of($0) }
      return "\(file.count) tokens \(String(checksum, radix: 16))"
    }.joined(separator: ", ")
  }

  /// Trains or loads the tokenizer and turns texts into token files below the run folder.
  ///
  /// - Parameters:
  ///   - folderTokenizer: `tokenizer.json` of the model that training starts from, used unless the
  ///     configuration names another.
  ///   - modelVocabulary: the model's vocabulary where it is fixed.
  ///   - reusing: whether tokenizer and token files of the run folder are taken as they are: only for a run
  ///     that goes on.
  ///   - note: told what is done and what it gave.
  init(
    _ section: DataSection, _ opened: RunSources, folder: RunFolder, folderTokenizer: URL?,
    modelVocabulary: Int?, threads: Int, reusing: Bool, note: (String) -> Void
  ) throws {
    let (sources, held) = (opened.training, opened.validation)
    let needsTokenizer = (sources + held).contains { $0.corpus != nil }
    let tokenizer = try Self.tokenizer(
      section, sources, needsOne: needsTokenizer, folder: folder, folderTokenizer: folderTokenizer,
      reusing: reusing, note)
    let fraction = held.isEmpty ? section.validationFraction : 0
    var (files, weights, validationFiles): ([TokenFile], [Double], [TokenFile]) = ([], [], [])
    var validationBytes: Int? = 0
    for (index, source) in (sources + held).enumerated() {
      let isTraining = index < sources.count
      let split = try source.tokens(
        tokenizer, folder: folder.data.appendingPathComponent("source-\(index)"),
        heldOut: isTraining ? fraction : 0, threads: threads, reusing: reusing)
      if isTraining {
        files.append(split.train)
        weights.append(source.section.weight)
        if let validation = split.validation { validationFiles.append(validation) }
        if split.validation != nil {
          validationBytes = validationBytes.flatMap { sum in split.validationBytes.map { sum + $0 } }
        }
      } else {
        validationFiles.append(split.train)
        validationBytes = validationBytes.flatMap { sum in split.trainBytes.map { sum + $0 } }
      }
    }
    self.tokenizer = tokenizer
    guard let vocabulary = modelVocabulary ?? tokenizer?.vocabularySize else {
      throw TrainingError.data(
        "model.vocabulary_size: token files do not say how large their vocabulary is; give it or data.tokenizer"
      )
    }
    // Token files come from elsewhere: a wrong id shows now and not after hours.
    for source in sources + held { try source.checkTokens(vocabularySize: vocabulary) }
    if let short = validationFiles.first(where: { $0.count < 2 }) {
      throw TrainingError.data(
        "\(short.path): \(short.count) tokens are too few to validate on; use more text")
    }
    vocabularySize = vocabulary
    trainingFiles = files
    self.weights = weights
    validation =
      validationFiles.isEmpty ? nil : ValidationTokens(files: validationFiles, bytes: validationBytes)
    let validationText = validation.map { ", \($0.count.grouped) for validation" } ?? ""
    note("data: \(trainingTokens.grouped) tokens for training\(validationText)")
  }

  private static func tokenizer(
    _ section: DataSection, _ sources: [RunSource], needsOne: Bool, folder: RunFolder, folderTokenizer: URL?,
    reusing: Bool, _ note: (String) -> Void
  ) throws -> Tokenizer? {
    if reusing, FileManager.default.fileExists(atPath: folder.tokenizer.path) {
      return try Tokenizer(contentsOf: folder.tokenizer)
    }
    let tokenizer: Tokenizer
    if let path = section.tokenizer ?? folderTokenizer?.path {
      tokenizer = try Tokenizer(contentsOf: URL(fileURLWithPath: path))
    } else if needsOne {
      let watch = Stopwatch()
      var training = try TokenizerTraining()
      for source in sources {
        try source.corpus.map {
          try DatasetPreparation(corpus: $0, validationFraction: section.validationFraction)
            .forEachTrainingText { training.add($0) }
        }
      }
      tokenizer = try training.finish(
        vocabularySize: section.tokenizerVocabularySize, specialTokens: ["<|endoftext|>"])
      note(
        "tokenizer: \(tokenizer.vocabularySize.grouped) tokens learned in \(watch.seconds.formatted(decimals: 2)) s"
      )
    } else {
      return nil
    }
    try tokenizer.write(to: folder.tokenizer)
    return tokenizer
  }
}

/// The sources of a configuration, opened: what is missing or unreadable shows before a run is touched.
package struct RunSources {
  let training: [RunSource]
  let validation: [RunSource]

  /// - Throws: everything that is wrong with any source.
  package init(_ section: DataSection) throws(DataError) {
    var problems: [DataError] = []
    func open(_ sources: [DataSource]) -> [RunSource] {
      sources.compactMap { source in
        do throws(DataError) { return try RunSource(source) } catch {
          problems.append(error)
          return nil
        }
      }
    }
    training = open(section.train)
    validation = open(section.validation)
    if problems.count > 1 { throw .several(problems) }
    if let problem = problems.first { throw problem }
  }
}

/// One source of the configuration, opened.
struct RunSource {
  let section: DataSource
  /// Text or JSON lines; nil for token files.
  let corpus: Corpus?
  private let file: TokenFile?

  init(_ section: DataSource) throws(DataError) {
    self.section = section
    let isTokens = section.format == .tokens || (section.format == .auto && section.path.hasSuffix(".bin"))
    let format: Corpus.Format
    switch section.format {
    case .jsonl: format = .jsonLines
    case .text: format = .text
    case .auto, .tokens: format = .byName
    }
    corpus = isTokens ? nil : try Corpus([section.path], key: section.textField, format: format)
    file = isTokens ? try TokenFile(path: section.path) : nil
  }

  /// Reads all ids of a token file; text was encoded within the vocabulary.
  func checkTokens(vocabularySize: Int) throws(DataError) {
    try file?.checkTokens(vocabularySize: vocabularySize)
  }

  struct Split {
    var train: TokenFile
    /// Bytes of text; nil for token files, which do not know.
    var trainBytes: Int?
    var validation: TokenFile?
    var validationBytes: Int?
  }

  /// The source as token files: a token file as it is, its end held out; text encoded into `folder`, or read
  /// from there when the same tokenizer made it from the same files.
  func tokens(
    _ tokenizer: Tokenizer?, folder: URL, heldOut: Double, threads: Int, reusing: Bool
  ) throws -> Split {
    if let file {
      guard heldOut > 0 else { return Split(train: file) }
      let cut = file.count - Int((Double(file.count) * heldOut).rounded())
      return Split(train: file.slice(0..<cut), validation: file.slice(cut..<file.count))
    }
    guard let corpus, let tokenizer else {
      throw TrainingError.data("\(section.path): text needs a tokenizer; give data.tokenizer")
    }
    let present = try? DatasetSummary(contentsOf: folder.appendingPathComponent("dataset.json"))
    let summary: DatasetSummary
    if reusing, let present, present.tokenizerFingerprint == tokenizer.fingerprint,
      present.sources.map(\.path) == corpus.files
    {
      summary = present
    } else {
      summary = try DatasetPreparation(corpus: corpus, validationFraction: heldOut, threads: threads)
        .run(tokenizer: tokenizer, folder: folder)
    }
    func open(_ split: DatasetSummary.Split) throws -> TokenFile {
      try TokenFile(path: folder.appendingPathComponent(split.file).path)
    }
    return Split(
      train: try open(summary.train), trainBytes: summary.train.bytes,
      validation: try summary.validation.map(open), validationBytes: summary.validation?.bytes)
  }
}

/// Held-out tokens, read in consecutive windows.
package struct ValidationTokens {
  package let files: [TokenFile]
  /// Bytes of the text behind the tokens; nil where only tokens are known.
  package let bytes: Int?

  package var count: Int { files.reduce(0) { $0 + $1.count } }

  /// Windows of `length` predicted tokens, file by file; the last of a file may be shorter.
  package func windows(length: Int, limit: Int?) -> [(file: Int, range: Range<Int>)] {
    var windows: [(Int, Range<Int>)] = []
    var tokens = 0
    for (index, file) in files.enumerated() {
      var start = 0
      while start + 1 < file.count, tokens < limit ?? Int.max {
        let end = min(start + length, file.count - 1)
        windows.append((index, start..<end))
        tokens += end - start
        start = end
      }
    }
    return windows
  }
}
