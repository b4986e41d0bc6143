import ApusCore
import ApusProgram
import Testing

@Suite struct MeshTests {
  /// Domain reference B6: 16 ranks of 2 x 2 x 2 x 2, tensor innermost: rank 0's neighbours along tensor, context,
  /// pipeline and data are 1, 2, 4 and 8.
  @Test func ranksAreNumberedFromTheInside() {
    let mesh = Mesh(ParallelLayout(data: 2, tensor: 2, context: 2, pipeline: 2))
    #expect(mesh.group(of: 0, along: .tensor) == [0, 1])
    #expect(mesh.group(of: 0, along: .context) == [0, 2])
    #expect(mesh.group(of: 0, along: .pipeline) == [0, 4])
    #expect(mesh.group(of: 0, along: .data) == [0, 8])
    #expect(mesh.group(of: 13, along: .tensor) == [12, 13])
    #expect(mesh.group(of: 0, along: .dataAndContext) == [0, 2, 8, 10])
  }

  /// Along every axis the groups part the ranks, and a rank's place in its group is its coordinate.
  @Test func groupsPartTheRanks() {
    for layout in [
      ParallelLayout(data: 6, tensor: 4, zeroStage: 2, shardDegree: 3),
      ParallelLayout(data: 4, tensor: 2, context: 3, pipeline: 2, zeroStage: 3, shardDegree: 6),
      ParallelLayout(data: 5),
    ] {
      let mesh = Mesh(layout, keyValueCopies: layout.tensor == 4 ? 2 : 1)
      for axis in MeshAxis.allCases {
        for rank in 0..<layout.worldSize {
          let group = mesh.group(of: rank, along: axis)
          #expect(group.count == mesh.degree(of: axis), "\(axis)")
          #expect(group[mesh.coordinate(of: rank, on: axis)] == rank, "\(axis)")
          for other in group { #expect(mesh.group(of: other, along: axis) == group) }
        }
      }
    }
  }

  /// A rectangle cut by a stretch of the unit: at most three rectangles with all of the elements.
  @Test func rectanglesCutByAStretch() {
    let box = OwnedBox(rows: 4..<9, columns: 2..<5, offset: 10, stride: 7)
    for start in 0..<60 {
      for end in start...60 {
        let parts = box.intersection(start..<end)
        #expect(parts.count <= 3)
        var expected: [Int: Int] = [:]
        for row in 0..<5 {
          for column in 0..<3 where (start..<end).contains(10 + row * 7 + column) {
            expected[(4 + row) * 20 + 2 + column] = 10 + row * 7 + column
          }
        }
        var found: [Int: Int] = [:]
        for part in parts {
          for run in part.runs(globalColumns: 20) {
            for index in 0..<run.count { found[run.global + index] = run.offset + index }
          }
        }
        #expect(found == expected, "\(start)..<\(end)")
      }
    }
  }
}
