// What osls does not do by itself: it refuses deployment names that would confuse, and
// builds the package before it is uploaded.

const { spawnSync } = require('node:child_process');

const VEHICLES = ['skateboard', 'scooter', 'bicycle', 'motorcycle', 'car'];

module.exports = class {
  constructor(serverless) {
    this.serverless = serverless;
    this.hooks = {
      initialize: () => this.checkDeploymentName(),
      'before:package:createDeploymentArtifacts': () => this.build(),
    };
  }

  fail(message) {
    throw new this.serverless.classes.Error(message);
  }

  checkDeploymentName() {
    const name = this.serverless.getProvider('aws').getStage();
    if (/^[a-z][a-z0-9-]{0,15}$/.test(name) && !VEHICLES.includes(name)) return;
    this.fail(
      `"${name}" cannot name a deployment.\n` +
        '  Why:  --stage says where to deploy: local, dev, prod, pr-12. It is a letter, then\n' +
        '        up to 15 lower-case letters, digits and dashes. The stages of growth, such as\n' +
        '        2 or scooter, are something else: `copier update` moves between those.\n' +
        '  Next: tox -e deploy -- --stage dev',
    );
  }

  build() {
    const { runtime, architecture } = this.serverless.service.provider;
    const python = process.env.PYTHON || 'python3';
    const result = spawnSync(
      python,
      ['-m', 'tools.package', '--runtime', runtime, '--architecture', architecture || 'x86_64'],
      { cwd: this.serverless.serviceDir, stdio: 'inherit' },
    );
    if (result.status !== 0) this.fail('The package was not built; the reason is above.');
  }
};
