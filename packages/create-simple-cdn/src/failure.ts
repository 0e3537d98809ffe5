// Something that keeps a project from being made, in words for people.

export class Failure extends Error {
  override readonly name = 'Failure'
  /** 1: it could not be done. 2: it was asked for in the wrong way. */
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}
