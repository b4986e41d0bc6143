extension Reference {
  /// Queries of one rank against keys and values of all ranks of the context axis.
  package struct ContextAttentionShape {
    /// Rows of the rank's queries, tokens of a sequence on a rank, ranks.
    package var rows, localLength, degree: Int
    package var queryHeads, keyHeads, headSize: Int

    package init(rows: Int, localLength: Int, degree: Int, queryHeads: Int, keyHeads: Int, headSize: Int) {
      self.rows = rows
      self.localLength = localLength
      self.degree = degree
      self.queryHeads = queryHeads
      self.keyHeads = keyHeads
      self.headSize = headSize
    }

    var keyWidth: Int { keyHeads * headSize }
    var scale: Double { 1 / Double(headSize).squareRoot() }

    /// Calls with each row of gathered keys that the query of `row` sees: same sequence, no later place.
    func visible(_ row: Int, _ places: (own: [Int], all: [[Int]]), _ body: (Int) -> Void) {
      let (sequence, local) = row.quotientAndRemainder(dividingBy: localLength)
      for rank in 0..<degree {
        for (index, place) in places.all[rank].enumerated() where place <= places.own[local] {
          body(rank * rows + sequence * localLength + index)
        }
      }
    }
  }

  /// o and log-sum-exp `[heads, rows]` of the rank's queries; `keys` is `[degree rows, 2 keyWidth]`.
  ///
  /// - Parameter places: the place in its sequence of each of a rank's tokens: the rank's own, and all ranks'.
  package static func contextAttentionForward(
    _ shape: ContextAttentionShape, _ o: UnsafeMutablePointer<Scalar>, _ lse: UnsafeMutablePointer<Scalar>,
    _ q: UnsafePointer<Scalar>, _ width: Int, _ keys: UnsafePointer<Scalar>,
    places: (own: [Int], all: [[Int]])
  ) {
    let (size, keyWidth) = (shape.headSize, shape.keyWidth)
    for head in 0..<shape.queryHeads {
      let key = head * shape.keyHeads / shape.queryHeads * size
      for row in 0..<shape.rows {
        let query = q + row * width + head * size
        var scores: [(row: Int, score: Scalar)] = []
        shape.visible(row, places) { scores.append(($0, 0)) }
        for index in scores.indices {
          let k = keys + scores[index].row * 2 * keyWidth + key
          scores[index].score =
            (0..<size).reduce(Scalar(0)) { $0 + query[$1] * k[$1] } * Scalar(shape.scale)
        }
        let most = scores.map(\.score).max() ?? 0
        let sum = scores.reduce(Scalar(0)) { $0 + exponential($1.score - most) }
        let out = o + row * shape.queryHeads * size + head * size
        out.update(repeating: 0, count: size)
        for (at, score) in scores {
          let v = keys + at * 2 * keyWidth + keyWidth + key
          let weight = exponential(score - most) / sum
          for column in 0..<size { out[column] += weight * v[column] }
        }
        lse[head * shape.rows + row] = most + logarithm(sum)
      }
    }
  }

  /// dqkv, of which the columns of k and v become zero, and dkv of all gathered rows.
  package static func contextAttentionBackward(
    _ shape: ContextAttentionShape, _ dq: UnsafeMutablePointer<Scalar>, _ dkeys: UnsafeMutablePointer<Scalar>,
    _ dout: UnsafePointer<Scalar>, _ q: UnsafePointer<Scalar>, _ width: Int, _ keys: UnsafePointer<Scalar>,
    _ lse: UnsafePointer<Scalar>, places: (own: [Int], all: [[Int]])
  ) {
    let (size, keyWidth) = (shape.headSize, shape.keyWidth)
    dq.update(repeating: 0, count: shape.rows * width)
    dkeys.update(repeating: 0, count: shape.degree * shape.rows * 2 * keyWidth)
    for head in 0..<shape.queryHeads {
      let key = head * shape.keyHeads / shape.queryHeads * size
      for row in 0..<shape.rows {
        let query = q + row * width + head * size
        let gradient = dout + row * shape.queryHeads * size + head * size
        var weights: [(row: Int, weight: Scalar, dweight: Scalar)] = []
        shape.visible(row, places) { at in
          let k = keys + at * 2 * keyWidth + key
          let score = (0..<size).reduce(Scalar(0)) { $0 + query[$1] * k[$1] } * Scalar(shape.scale)
          let dweight = (0..<size).reduce(Scalar(0)) { $0 + gradient[$1] * k[keyWidth + $1] }
          weights.append((at, exponential(score - lse[head * shape.rows + row]), dweight))
        }
        let mean = weights.reduce(Scalar(0)) { $0 + $1.weight * $1.dweight }
        let dquery = dq + row * width + head * size
        for (at, weight, dweight) in weights {
          let (k, dk) = (keys + at * 2 * keyWidth + key, dkeys + at * 2 * keyWidth + key)
          let dscore = weight * (dweight - mean) * Scalar(shape.scale)
          for column in 0..<size {
            dquery[column] += dscore * k[column]
            dk[column] += dscore * query[column]
            dk[keyWidth + column] += weight * gradient[column]
          }
        }
      }
    }
  }
}
