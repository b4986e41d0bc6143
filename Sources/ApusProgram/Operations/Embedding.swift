import ApusCore

/// Rows of a table picked by token id: `out[t] = table[ids[t]]`.
///
/// Inputs: ids `[1, T]` int32, table `[V, D]`. Output: `[T, D]`. FLOPs: none. Bytes: the picked rows twice.
///
/// With the table's rows divided over ranks each looks up the ids of its own rows and gives zeros for the others:
/// a partial sum.
package struct Embedding: ForwardOperation {
  package static let name = "embedding"
  package var op: Op { .embedding(self) }

  /// The table's rows on a rank; nil where it has all.
  package var vocabulary: VocabularySlice?

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(inputs[0].type == .int32, "embedding: ids are \(inputs[0].type), not int32")
    let table = inputs[1]
    require(
      table.placement == (vocabulary == nil ? .invariant : .sharded(.rows)),
      "embedding: the table is \(table.placement.text)")
    return [
      Signature(inputs[0].count, table.columns, table.type, vocabulary == nil ? .invariant : .partialSum)
    ]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: inputs[0].byteCount + 2 * outputs[0].tensor.byteCount)
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (ids, table) = (call.inputs[0], call.inputs[1])
    let operation = EmbeddingGradient(vocabulary: vocabulary)
    if pass.sharesRows(of: table) {
      return pass.addSharedRows(operation, ids, pass.gradient(call, 0), to: table)
    }
    pass.emit(operation, [ids, pass.gradient(call, 0)], to: [pass.destination(table)])
  }
}

/// `dtable[ids[t]] += dout[t]`; overwriting starts from zeros.
package struct EmbeddingGradient: Operation {
  package static let name = "embedding gradient"
  package var op: Op { .embeddingGradient(self) }
  package var vocabulary: VocabularySlice?

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    let zeroing = outputs[0].mode == .accumulate ? 0 : outputs[0].tensor.byteCount
    return Cost(flops: 0, bytes: inputs[0].byteCount + 3 * inputs[1].byteCount + zeroing)
  }
}

extension StepRecorder {
  /// Looks up `ids` (`[1, T]`) in `table` (`[V, D]`); gives `[T, D]`.
  ///
  /// - Parameter vocabularySize: V over all ranks, for a table whose rows are divided.
  public mutating func embedding(_ ids: Tensor, _ table: Tensor, vocabularySize: Int) -> Tensor {
    record(Embedding(vocabulary: VocabularySlice(of: table, vocabularySize)), [ids, table])[0]
  }
}
