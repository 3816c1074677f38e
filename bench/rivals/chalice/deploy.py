"""Deploy what ``chalice package`` has made, as ``aws cloudformation deploy`` would.

``chalice deploy`` itself never serves on the emulator. Usage: ``python deploy.py FOLDER``,
with the AWS environment set.
"""

import json
import sys
from pathlib import Path

import botocore.session

STACK = "rival"
BUCKET = "rival-chalice"
PACKAGE = "deployment.zip"

# The AWS CLI looks every 30 s. More often is in the rival's favour.
WAIT = {"Delay": 0.1, "MaxAttempts": 600}


def main() -> None:
    """Upload the package, create the stack, and print its outputs."""
    folder = Path(sys.argv[1])
    session = botocore.session.Session()
    s3 = session.create_client("s3")
    location = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    s3.put_object(Bucket=BUCKET, Key=PACKAGE, Body=(folder / PACKAGE).read_bytes())

    template = json.loads((folder / "sam.json").read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{BUCKET}/{PACKAGE}"

    cloudformation = session.create_client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    created = cloudformation.get_waiter("stack_create_complete")
    created.wait(StackName=STACK, WaiterConfig=WAIT)
    for output in cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]:
        print(f"{output['OutputKey']}: {output['OutputValue']}")


if __name__ == "__main__":
    main()
