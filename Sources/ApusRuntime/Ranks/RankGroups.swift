import ApusCommunication
import ApusCore
import ApusProgram

/// A rank of a mesh with its groups: what a program needs to be bound to a rank.
package struct RankGroups: Sendable {
  package let position: MeshPosition
  private let groups: [MeshAxis: any Communicator]

  /// The only rank.
  package static let single = RankGroups(position: .single, groups: [:])

  private init(position: MeshPosition, groups: [MeshAxis: any Communicator]) {
    self.position = position
    self.groups = groups
  }

  /// Splits `world` into the groups along the mesh's axes; every rank of the world calls this with the same mesh.
  package init(_ mesh: Mesh, world: any Communicator) throws(CommunicationError) {
    require(
      world.size == mesh.layout.worldSize,
      "a layout of \(mesh.layout.worldSize) ranks on a world of \(world.size)")
    position = MeshPosition(mesh, rank: world.rank)
    var groups: [MeshAxis: any Communicator] = [:]
    for axis in MeshAxis.allCases where mesh.degree(of: axis) > 1 {
      let group = position.group(along: axis)
      groups[axis] = try world.split(
        colour: group[0], key: position.coordinate(on: axis), name: axis.rawValue)
    }
    self.groups = groups
  }

  /// The ranks along an axis.
  package func group(along axis: MeshAxis) -> (any Communicator)? { groups[axis] }

  /// What has gone over each axis since the groups were made.
  package var counters: [MeshAxis: CommunicationCounters] { groups.mapValues(\.counters) }

  /// Tells `observer` of each transfer on each axis from now on; nil ends that.
  package func observe(_ observer: (@Sendable (Flight) -> Void)?) {
    for group in groups.values { group.observe(observer) }
  }
}

extension Move {
  /// The call that makes this move between addresses; nil where the rank has nothing of it.
  func collective(
    from input: UnsafeMutableRawPointer, to output: UnsafeMutableRawPointer, _ x: Tensor, _ y: Tensor,
    type: ElementType, at position: MeshPosition, label: String
  ) -> Collective? {
    guard let kind = collective else { return nil }
    let count = count(x, y, at: position)
    guard count > 0 else { return nil }
    let offset = (stretch?.range(at: position).lowerBound ?? 0) * type.byteCount
    return Collective(
      kind, from: input + offset, to: output + offset, count: count, type: type, label: label)
  }
}
