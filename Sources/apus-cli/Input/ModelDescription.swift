import ApusCheckpoint
import ApusData
import ApusModels
import Foundation

/// `model.json` of an imported model: what its `config.json` says and a checkpoint's state does not.
struct ModelDescription: Codable {
  var format = Self.currentFormat
  var model: ModelConfiguration
  var specialTokens: SpecialTokens

  static let fileName = "model.json"
  private static let currentFormat = "apus-model-1"

  init(model: ModelConfiguration, specialTokens: SpecialTokens) {
    (self.model, self.specialTokens) = (model, specialTokens)
  }

  /// The description in a run's folder, or nil where there is none or it is of another model.
  init?(run: URL, of model: ModelConfiguration) throws(CommandError) {
    let url = run.appendingPathComponent(Self.fileName)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    do { self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: url)) } catch {
      throw .input(path: url.path, problem: "is not a model.json of Apus; import the model again")
    }
    guard format == Self.currentFormat else {
      throw .input(path: url.path, problem: "has the format \(format) instead of \(Self.currentFormat)")
    }
    if self.model != model { return nil }
  }

  var json: [UInt8] {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return Array(try encoder.encode(self)) + [0x0a]
    }
  }
}

extension SpecialTokens {
  /// What a tokenizer of Apus means: texts end with its end-of-text token, and begin with what its template
  /// puts there or, as in GPT-2, after the end of the text before.
  init(_ tokenizer: Tokenizer) {
    let end = tokenizer.endOfText.map(Int.init)
    self.init(beginOfText: tokenizer.definition.prefix.first.map(Int.init) ?? end, endOfText: end)
  }
}
