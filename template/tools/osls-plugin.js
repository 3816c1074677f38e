// What osls does not do by itself: it refuses deployment names that would confuse, builds
// the package before it is uploaded, and keeps an address quiet that nobody can call.

const { spawnSync } = require('node:child_process');

module.exports = class {
  constructor(serverless) {
    this.serverless = serverless;
    this.hooks = {
      initialize: () => this.checkDeploymentName(),
      'before:package:createDeploymentArtifacts': () => this.build(),
      'after:aws:info:displayEndpoints': () => this.hideAddressesOfAws(),
    };
  }

  fail(message) {
    throw new this.serverless.classes.Error(message);
  }

  python(stdio, ...program) {
    return spawnSync(process.env.PYTHON || 'python3', ['-m', ...program], {
      cwd: this.serverless.serviceDir,
      encoding: 'utf8',
      stdio,
    });
  }

  checkDeploymentName() {
    const name = this.serverless.getProvider('aws').getStage();
    const { status, stdout, error } = this.python('pipe', 'tools.osls', name);
    if (status !== 0) this.fail(error ? error.message : stdout.trim().replace(/^Error: /, ''));
  }

  build() {
    const { runtime, architecture } = this.serverless.service.provider;
    const target = ['--runtime', runtime, '--architecture', architecture || 'x86_64'];
    const { status } = this.python('inherit', 'tools.package', ...target);
    if (status !== 0) this.fail('The package was not built; the reason is above.');
  }

  // osls takes the emulator for AWS. What `tox -e deploy` prints below can be called.
  hideAddressesOfAws() {
    if (!process.env.AWS_ENDPOINT_URL) return;
    this.serverless.serviceOutputs.delete('endpoint');
    this.serverless.serviceOutputs.delete('endpoints');
  }
};
