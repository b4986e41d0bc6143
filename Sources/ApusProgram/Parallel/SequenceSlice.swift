import ApusCore

/// The tokens of each sequence that a rank of the context axis holds: of 2n equal pieces, for n ranks, the pieces i and
/// 2n - 1 - i. A token attends to the ones before it, so that early tokens are little work and late ones much; the
/// pairs are equally much for all ranks ("zig-zag": Llama Team 2024, section 3.3.2; domain
/// reference B4).
package struct SequenceSlice: Hashable, Sendable {
  /// S over all ranks.
  package var sequenceLength: Int
  /// n.
  package var degree: Int

  package init(sequenceLength: Int, degree: Int) {
    self.sequenceLength = sequenceLength
    self.degree = degree
    require(
      sequenceLength.isMultiple(of: 2 * degree),
      "context: a sequence of \(sequenceLength) cannot be divided into \(2 * degree) pieces")
  }

  /// The slice on a mesh; nil where each rank has whole sequences.
  package init?(_ mesh: Mesh, sequenceLength: Int) {
    guard mesh.degree(of: .context) > 1 else { return nil }
    self.init(sequenceLength: sequenceLength, degree: mesh.degree(of: .context))
  }

  /// Tokens of a sequence on each rank.
  package var localLength: Int { sequenceLength / degree }
  /// Tokens of a piece.
  private var piece: Int { sequenceLength / (2 * degree) }

  /// The place in its sequence of the first token of each of a rank's two pieces.
  package func starts(ofRank rank: Int) -> [Int] { [rank * piece, (2 * degree - 1 - rank) * piece] }

  /// The place of each of a rank's tokens in its sequence.
  package func places(ofRank rank: Int) -> [Int] {
    starts(ofRank: rank).flatMap { $0..<$0 + piece }
  }

  /// Neighbouring rows of a micro-batch that are neighbours in one sequence too.
  package struct Stretch: Hashable, Sendable {
    /// The first of them, counted from the first of `rows`.
    package var row: Int
    package var sequence: Int
    /// The first one's place in the sequence.
    package var place: Int
    package var count: Int

    package init(row: Int, sequence: Int, place: Int, count: Int) {
      self.row = row
      self.sequence = sequence
      self.place = place
      self.count = count
    }
  }

  /// The stretches that make up `rows` of what a rank holds of a micro-batch, sequence after sequence.
  package func stretches(_ rows: Range<Int>, ofRank rank: Int) -> [Stretch] {
    let starts = starts(ofRank: rank)
    var stretches: [Stretch] = []
    var row = rows.lowerBound
    while row < rows.upperBound {
      let (sequence, place) = row.quotientAndRemainder(dividingBy: localLength)
      let (number, offset) = place.quotientAndRemainder(dividingBy: piece)
      let count = min(piece - offset, rows.upperBound - row)
      stretches.append(
        Stretch(
          row: row - rows.lowerBound, sequence: sequence, place: starts[number] + offset, count: count))
      row += count
    }
    return stretches
  }
}
