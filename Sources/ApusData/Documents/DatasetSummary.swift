import ApusCore
import Foundation

/// What `dataset.json` says about a prepared dataset.
package struct DatasetSummary: Codable, Hashable, Sendable {
  /// One of the two token files.
  package struct Split: Codable, Hashable, Sendable {
    /// The file's name in the dataset's folder.
    package var file: String
    /// Tokens, with those between documents.
    package var tokens: Int
    /// Bytes of text: what a loss a token has to be divided by for bits per byte.
    package var bytes: Int
    package var documents: Int

    package init(file: String, tokens: Int, bytes: Int, documents: Int) {
      (self.file, self.tokens, self.bytes, self.documents) = (file, tokens, bytes, documents)
    }
  }

  /// One file that the texts come from.
  package struct Source: Codable, Hashable, Sendable {
    package var path: String
    package var bytes: Int
  }

  package var format = "apus-dataset-1"
  package var tokenizerFingerprint: String
  package var vocabularySize: Int
  package var train: Split
  package var validation: Split?
  package var sources: [Source]

  package init(
    tokenizerFingerprint: String, vocabularySize: Int, train: Split, validation: Split?, sources: [Source]
  ) {
    (self.tokenizerFingerprint, self.vocabularySize) = (tokenizerFingerprint, vocabularySize)
    (self.train, self.validation, self.sources) = (train, validation, sources)
  }

  /// Reads a `dataset.json`.
  package init(contentsOf url: URL) throws(DataError) {
    let file = try MappedFile(path: url.path)
    do { self = try JSONDecoder().decode(DatasetSummary.self, from: file.withBytes { Data($0) }) } catch {
      throw .file(path: url.path, problem: "not a dataset.json of Apus; prepare the data again")
    }
    guard format == "apus-dataset-1" else {
      throw .file(
        path: url.path, problem: "format \(format) instead of apus-dataset-1; prepare the data again")
    }
  }

  /// Writes a `dataset.json`.
  package func write(to url: URL) throws(DataError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      throw .file(path: url.path, problem: "cannot be written as JSON")
    }
    try AsideFile.write(Array(data) + [0x0a], to: url.path)
  }
}
