import ApusCore
public import ApusProgram

/// A decoder-only language model, written forward only: the step's other half follows from the operations'
/// gradient rules. Models know no kernels, no memory and no device.
public protocol LanguageModel {
  /// The parameters: as a rule one unit for the embeddings, one a layer, one for what follows the layers.
  var units: [ParameterUnit] { get }
  /// The matrix `[V, D]` that turns hidden states into logits; the token table where tied.
  var head: Tensor { get }
  /// V over all ranks.
  var vocabularySize: Int { get }
  /// Constant tables that the model reads.
  var tables: [StepProgram.TableTensor] { get }
  /// Hidden states `[T, D]`, after the last norm, of `tokens` (`[1, T]` int32), as the head reads them.
  func hiddenStates(_ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder) -> Tensor
}

extension LanguageModel {
  public var tables: [StepProgram.TableTensor] { [] }
}

/// Declares a model's parameters in a recorder, with gradients and optimizer states when `training`.
public typealias ModelDeclaration = (_ step: inout StepRecorder, _ training: Bool) -> any LanguageModel

extension ModelConfiguration {
  /// Queries, keys and values of this model.
  public var heads: HeadShape {
    HeadShape(headCount: headCount, keyValueHeadCount: keyValueHeadCount, headSize: headSize)
  }

  /// Ranks of the tensor axis that hold copies of the same key-value head.
  package func keyValueCopies(_ layout: ParallelLayout) -> Int { max(1, layout.tensor / keyValueHeadCount) }

  /// The model of this shape.
  public var declaration: ModelDeclaration {
    { step, training in
      switch family {
      case .gpt2: GPT2(self, training: training, in: &step)
      case .llama: Llama(self, training: training, in: &step)
      }
    }
  }
}

/// How the rows of a segment are related: whole sequences side by side, or the continuation of one sequence
/// whose earlier keys and values lie in caches.
public enum SequenceContext {
  case sequences(length: Int)
  case cached(start: Tensor, caches: [KeyValueCache])

  public struct KeyValueCache {
    package var keys: Tensor
    package var values: Tensor
  }

  /// Rows after which positions start again; `rows` where they never do.
  public func sequenceLength(rows: Int) -> Int {
    switch self {
    case .sequences(let length): length
    case .cached: rows
    }
  }

  /// Position of the first row, where it is not zero.
  public var start: Tensor? {
    switch self {
    case .sequences: nil
    case .cached(let start, _): start
    }
  }

  /// Attention of layer `layer` over `qkv` (`[T, width]`).
  public func attend(_ qkv: Tensor, _ heads: HeadShape, layer: Int, in step: inout StepRecorder) -> Tensor {
    switch self {
    case .sequences(let length):
      step.attention(qkv, heads: heads, sequenceLength: length)
    case .cached(let start, let caches):
      step.cachedAttention(
        qkv, heads: heads, start: start, keyCache: caches[layer].keys, valueCache: caches[layer].values)
    }
  }
}
