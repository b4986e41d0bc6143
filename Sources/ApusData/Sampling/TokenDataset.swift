import ApusCore

/// Token files, one or several weighted ones, read sample by sample in the order of a `Sampler`.
package struct TokenDataset: Sendable {
  package let files: [TokenFile]
  package let sampler: Sampler
  private let vocabularySize: Int

  /// Checks that every file holds at least one sequence, and the weights.
  ///
  /// - Parameters:
  ///   - weights: relative shares of the samples; by default each file counts by its tokens.
  ///   - vocabularySize: the model's; reading a token beyond it is an error.
  package init(
    files: [TokenFile], weights: [Double]? = nil, sequenceLength: Int, vocabularySize: Int, seed: UInt64 = 0,
    shuffle: Bool
  ) throws(DataError) {
    guard !files.isEmpty else { throw .request("no token files given; name at least one") }
    guard sequenceLength > 0 else { throw .request("sequence length \(sequenceLength) is not positive") }
    for file in files where file.count <= sequenceLength {
      throw .tokenFile(
        path: file.path,
        problem:
          "\(file.count.grouped) tokens are too few for a sequence of \(sequenceLength.grouped), which needs "
          + "\((sequenceLength + 1).grouped); use a shorter sequence or more text")
    }
    if let weights {
      guard weights.count == files.count else {
        throw .request("\(weights.count) weights for \(files.count) token files; give one for each")
      }
      for weight in weights where !(weight > 0 && weight.isFinite) {
        throw .request("weight \(weight) of a token file is not a positive number")
      }
    }
    (self.files, self.vocabularySize) = (files, vocabularySize)
    sampler = Sampler(
      tokenCounts: files.map(\.count), weights: weights, sequenceLength: sequenceLength, seed: seed,
      shuffle: shuffle)
  }

  /// Windows of all files in one epoch: without weights and shuffling, samples 0..<windowCount read every
  /// file once.
  package var windowCount: Int { sampler.windowCounts.reduce(0, +) }

  /// Writes samples one after the other: `sequenceLength` inputs and as many targets each. `samples` counts
  /// over all steps and ranks from 0.
  package func fill(
    inputs: UnsafeMutablePointer<Int32>, targets: UnsafeMutablePointer<Int32>, samples: Range<Int>
  ) throws(DataError) {
    let length = sampler.sequenceLength
    for (row, sample) in samples.enumerated() {
      let window = sampler.window(at: sample)
      let file = files[window.source]
      let (input, target) = (inputs + row * length, targets + row * length)
      file.copy(window.start..<window.start + length, to: input)
      target.update(from: input + 1, count: length - 1)
      target[length - 1] = file[window.start + length]
      for index in 0...length {
        let token = index == 0 ? input[0] : target[index - 1]
        if Int(UInt32(bitPattern: token)) >= vocabularySize {
          throw file.beyondVocabulary(position: window.start + index, vocabularySize: vocabularySize)
        }
      }
    }
  }

  /// The same for samples of one step, where every step has `samplesPerStep` samples.
  package func fill(
    inputs: UnsafeMutablePointer<Int32>, targets: UnsafeMutablePointer<Int32>, step: Int, samples: Range<Int>,
    samplesPerStep: Int
  ) throws(DataError) {
    let first = step * samplesPerStep
    try fill(
      inputs: inputs, targets: targets, samples: first + samples.lowerBound..<first + samples.upperBound)
  }
}
