import ApusCore
import ApusModels
import ApusProgram
import Testing

/// What is recorded for ranks that share sequences (B4).
@Suite struct ContextRecordingTests {
  /// 16 tokens on 4 ranks: each sees 34 pairs; in the order of the sequence it would be 10, 26, 42 and 58.
  @Test func pairsAreBalanced() {
    let slice = SequenceSlice(sequenceLength: 16, degree: 4)
    let inOrder = [10, 26, 42, 58]
    var all: [Int] = []
    for rank in 0..<4 {
      let places = slice.places(ofRank: rank)
      all += places
      let pairs: Int = places.reduce(0) { $0 + $1 + 1 }
      let ofOrder: Int = (4 * rank..<4 * rank + 4).reduce(0) { $0 + $1 + 1 }
      #expect(pairs == 34 && ofOrder == inOrder[rank])
    }
    #expect(all.sorted() == Array(0..<16))
    #expect(slice.places(ofRank: 1) == [2, 3, 12, 13])
    let attention = ContextAttention(
      heads: HeadShape(headCount: 3, keyValueHeadCount: 3, headSize: 4), slice: slice)
    #expect(attention.pairs(rows: 2 * 4) == 2 * 3 * 34)
    // Rows of two sequences, from the middle of a piece on.
    let expected: [SequenceSlice.Stretch] = [
      .init(row: 0, sequence: 0, place: 3, count: 1), .init(row: 1, sequence: 0, place: 12, count: 2),
      .init(row: 3, sequence: 1, place: 2, count: 2), .init(row: 5, sequence: 1, place: 12, count: 1),
    ]
    #expect(slice.stretches(1..<7, ofRank: 1) == expected)
  }

  private func program(_ layout: ParallelLayout, _ recomputation: RecomputationSettings = .none)
    -> StepProgram
  {
    .training(
      LayoutRecordingTests.llama,
      TrainingProgramSettings(
        microBatchSize: 2, sequenceLength: 16, recomputation: recomputation, layout: layout))
  }

  /// A layer gathers keys and values of the whole sequences forward and again backward, and scatters their gradients;
  /// all parameters' gradients are summed over data and context together.
  @Test(arguments: [1, 2]) func collectives(tensor: Int) {
    let layout = ParallelLayout(data: 2, tensor: tensor, context: 4)
    for recomputation in [RecomputationSettings.none, .full] {
      let program = program(layout, recomputation)
      let volumes = program.communication(microbatches: 3, at: MeshPosition(program.mesh, rank: 0))
      let keys = 2 * 16 * 2 * LayoutRecordingTests.llama.heads.keyWidth / tensor * 4
      #expect(volumes[.context]?[.allGather]?.calls == 3 * 2 * 3)
      #expect(volumes[.context]?[.allGather]?.payloadBytes == 3 * 2 * 3 * keys)
      #expect(volumes[.context]?[.reduceScatter]?.calls == 3 * 3)
      #expect(volumes[.context]?[.reduceScatter]?.payloadBytes == 3 * 3 * keys)
      let sums = volumes[.dataAndContext]?[.allReduce]
      #expect(sums?.calls == program.units.count + 1)
      #expect(sums?.payloadBytes == 4 * program.units.reduce(0) { $0 + $1.count } + 4)
    }
  }

  /// A rank's work is an equal share of the whole: all FLOPs divided by the ranks, attention's too.
  @Test(arguments: [2, 4]) func workIsShared(context: Int) {
    let (one, part) = (program(ParallelLayout()), program(ParallelLayout(context: context)))
    for kind in [Segment.Kind.forward, .backward] {
      #expect(part.segment(kind)!.cost.flops * context == one.segment(kind)!.cost.flops)
    }
    #expect(part.tokens.count * context == one.tokens.count && part.parameterCount == one.parameterCount)
  }

  /// What is kept for backward is divided by the ranks too: gathered keys and values are not kept.
  @Test func savedValuesAreShared() {
    func kept(_ layout: ParallelLayout) -> Int {
      let program = program(layout)
      let read = Set(program.segment(.backward)!.instructions.flatMap { $0.inputs.map(\.storage) })
      let written = Set(program.segment(.forward)!.instructions.flatMap { $0.outputs.map(\.tensor.storage) })
      return written.intersection(read).reduce(0) { $0 + program.storages[$1].byteCount }
    }
    #expect(kept(ParallelLayout(context: 4)) * 4 == kept(ParallelLayout()))
  }
}
