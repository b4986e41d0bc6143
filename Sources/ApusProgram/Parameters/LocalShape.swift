import ApusCore

/// A rank's matrix of a divided parameter, and what published tensors have to do with it.
struct LocalShape {
  var rows, columns: Int
  var parts: [ExchangePart] = []
  var stretches: [ParameterStretch] = []

  init(_ name: String, _ rows: Int, _ columns: Int, isMatrix: Bool, _ split: ParameterSplit, _ mesh: Mesh) {
    (self.rows, self.columns) = (rows, columns)
    let shape = isMatrix ? [rows, columns] : [columns]
    let tensorDegree = mesh.degree(of: .tensor)
    switch split {
    case .whole(let arrivesWhole):
      let block = ExchangeBlock(
        row: 0, column: 0, rows: rows, columns: columns, globalRow: 0, globalColumn: 0, axis: nil)
      parts = [ExchangePart(name: name, shape: shape, blocks: [block])]
      stretches = [
        ParameterStretch(
          offset: 0, count: rows * columns, copies: tensorDegree,
          summedOver: arrivesWhole || tensorDegree == 1 ? nil : .tensor)
      ]
    case .along(let dimension, let sections):
      let whole = dimension == .rows ? rows : columns
      require(
        sections.reduce(0) { $0 + $1.extent } == whole,
        "\(name): sections do not make up \(whole) \(dimension)")
      let local = sections.reduce(0) { $0 + $1.localExtent(on: mesh) }
      if dimension == .rows { self.rows = local } else { self.columns = local }
      if sections.allSatisfy({ $0.name == nil }) {
        parts = [ExchangePart(name: name, shape: shape, blocks: [])]
      }
      var (start, globalStart) = (0, 0)
      for section in sections {
        let extent = section.localExtent(on: mesh)
        require(
          section.name != nil || sections.count == 1 || section.extent.isMultiple(of: extent),
          "\(name): a section of \(section.extent) cannot be divided over \(mesh.degree(of: section.axis)) ranks"
        )
        var block = ExchangeBlock(
          row: 0, column: 0, rows: self.rows, columns: self.columns, globalRow: 0, globalColumn: 0,
          axis: section.axis, dimension: dimension)
        let origin = section.name == nil ? globalStart : 0
        if dimension == .rows {
          (block.row, block.rows, block.globalRow) = (start, extent, origin)
        } else {
          (block.column, block.columns, block.globalColumn) = (start, extent, origin)
        }
        if let name = section.name {
          parts.append(ExchangePart(name: name, shape: [section.extent, columns], blocks: [block]))
        } else if let last = parts[0].blocks.last, mesh.degree(of: last.axis ?? section.axis) == 1,
          mesh.degree(of: section.axis) == 1
        {
          // Not divided: neighbours are one rectangle.
          parts[0].blocks[parts[0].blocks.count - 1].rows =
            dimension == .rows ? last.rows + extent : last.rows
          parts[0].blocks[parts[0].blocks.count - 1].columns =
            dimension == .rows ? last.columns : last.columns + extent
        } else {
          parts[0].blocks.append(block)
        }
        start += extent
        globalStart += section.extent
      }
      addStretches(dimension, sections, mesh)
    }
  }

  private mutating func addStretches(
    _ dimension: TensorDimension, _ sections: [ParameterSplit.Section], _ mesh: Mesh
  ) {
    func isCopied(_ section: ParameterSplit.Section) -> Bool {
      section.axis == .keyValueHeads && mesh.keyValueCopies > 1
    }
    let tensor = mesh.degree(of: .tensor)
    if sections.allSatisfy({ $0.axis == .expert }) {
      stretches = [
        ParameterStretch(
          offset: 0, count: rows * columns, copies: tensor, summedOver: tensor > 1 ? .tensor : nil)
      ]
      return
    }
    guard dimension == .rows, sections.contains(where: isCopied) else {
      require(!sections.contains(where: isCopied), "copies of key-value heads must be rows")
      stretches = [ParameterStretch(offset: 0, count: rows * columns, copies: 1, summedOver: nil)]
      return
    }
    var offset = 0
    for section in sections {
      let count = section.localExtent(on: mesh) * columns
      stretches.append(
        ParameterStretch(
          offset: offset, count: count, copies: isCopied(section) ? mesh.keyValueCopies : 1,
          summedOver: isCopied(section) ? .keyValueCopies : nil))
      offset += count
    }
  }
}
