"""Users of a deployment: add one, get a token, give somebody the orders that were everybody's."""

import argparse
from contextlib import suppress
from getpass import getpass

from botocore.exceptions import ClientError

from service.routes.orders import PUBLIC
from tools.console import Stop, clear_errors, say
from tools.stack import Stack, reach

# What to do after an error of Cognito, by its code.
NEXT = {
    "UsernameExistsException": "get a token: token EMAIL, with the password from then.",
    "InvalidPasswordException": "give a password of at least 12 characters, with lowercase and"
    " uppercase letters, digits and symbols.",
    "NotAuthorizedException": "try the other password; or add the user: add EMAIL.",
    "UserNotFoundException": "add the user: add EMAIL.",
}


def add(stack: Stack, email: str, password: str) -> str:
    """Add a user, and give the id (the claim ``sub``, and the owner of orders).

    It takes two calls. If the second one fails, the user has no password yet. Adding the same user
    again sets it.

    Raises:
        UsernameExistsException: there is one with this address, who has a password.
        InvalidPasswordException: the password is too simple.
    """
    cognito, pool = stack.client("cognito-idp"), stack.outputs()["UserPoolId"]
    user = {"UserPoolId": pool, "Username": email}
    added = True
    try:
        attributes = cognito.admin_create_user(
            **user,
            UserAttributes=[
                {"Name": "email", "Value": email},
                {"Name": "email_verified", "Value": "true"},
            ],
            MessageAction="SUPPRESS",  # no e-mail
        )["User"]["Attributes"]
    except cognito.exceptions.UsernameExistsException:
        found = cognito.admin_get_user(**user)
        if found["UserStatus"] != "FORCE_CHANGE_PASSWORD":
            raise
        added, attributes = False, found["UserAttributes"]
    try:
        cognito.admin_set_user_password(**user, Password=password, Permanent=True)
    except ClientError:
        if added:
            with suppress(ClientError):  # what counts is why there is no password
                remove(stack, email)
        raise
    return user_id(attributes)


def remove(stack: Stack, email: str) -> None:
    """Delete a user; their orders stay."""
    pool = stack.outputs()["UserPoolId"]
    stack.client("cognito-idp").admin_delete_user(UserPoolId=pool, Username=email)


def user_id(attributes: list[dict[str, str]]) -> str:
    """The id among a user's attributes."""
    return next(each["Value"] for each in attributes if each["Name"] == "sub")


def token(stack: Stack, email: str, password: str, kind: str = "AccessToken") -> str:
    """Sign in, and give the access token (or, as another ``kind``, the ``IdToken``).

    Raises:
        NotAuthorizedException: there is no such user, or the password is another one.
        Stop: the password is not enough.
    """
    outputs = stack.outputs()
    answer = stack.client("cognito-idp").admin_initiate_auth(
        UserPoolId=outputs["UserPoolId"],
        ClientId=outputs["UserPoolClientId"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    if challenge := answer.get("ChallengeName"):
        raise Stop(
            f"token {email}: {challenge}.",
            "to sign in, this user needs more than a password: to choose a new one"
            " (NEW_PASSWORD_REQUIRED), or a second factor.",
            "for a new password: add EMAIL. With a second factor: sign in through an application"
            " that can ask for it, or take the factor away from this user in Cognito.",
        )
    found: str = answer["AuthenticationResult"][kind]
    return found


def give(stack: Stack, email: str) -> int:
    """Give a user all orders that were placed before there were users, and count them.

    Raises:
        UserNotFoundException: there is no such user.
    """
    outputs, table = stack.outputs(), stack.client("dynamodb")
    user = stack.client("cognito-idp").admin_get_user(
        UserPoolId=outputs["UserPoolId"], Username=email
    )
    owner = {"S": user_id(user["UserAttributes"])}
    name = outputs["OrdersTableName"]
    pages = table.get_paginator("query").paginate(
        TableName=name,
        KeyConditionExpression="#owner = :public",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":public": {"S": PUBLIC}},
    )
    given = 0
    for item in (item for page in pages for item in page["Items"]):
        delete = {
            "TableName": name,
            "Key": {"owner": item["owner"], "id": item["id"]},
            "ConditionExpression": "attribute_exists(id)",
        }
        # Both or none: no order is lost on the way, and none is there twice.
        move = [{"Put": {"TableName": name, "Item": item | {"owner": owner}}}, {"Delete": delete}]
        try:
            table.transact_write_items(TransactItems=move)
            given += 1
        except table.exceptions.TransactionCanceledException:
            say(f"{item['id']['S']} was just given to somebody, or is being given.")
    return given


def main() -> None:
    """Run the command that was asked for."""
    parser = argparse.ArgumentParser(prog="tox -qqe python -- -m tools.users", description=__doc__)
    parser.add_argument("what", choices=["add", "token", "give"])
    parser.add_argument("email", help="the user's e-mail address")
    parser.add_argument("--password", help="for add and token; asked for when it is not here")
    parser.add_argument("--stage", required=True, metavar="NAME", help="the deployment")
    asked = parser.parse_args()
    with clear_errors():
        reach(asked.stage)
        stack = Stack(asked.stage)
        stack.check_deployed()
        if "UserPoolId" not in stack.outputs():
            raise Stop(
                f"{stack.name} has no users.",
                "what runs there was deployed before the project had any.",
                f"tox -e deploy -- --stage {asked.stage}; then the same command again.",
            )
        try:
            password = asked.password or ("" if asked.what == "give" else getpass())
            if asked.what == "add":
                say(f"{asked.email} is user {add(stack, asked.email, password)}.")
            elif asked.what == "token":
                say(token(stack, asked.email, password))
            else:
                say(f"Orders that are now those of {asked.email}: {give(stack, asked.email)}.")
        except EOFError:
            raise Stop(
                "There is no password.", "nobody is there to type one.", "add --password '...'"
            ) from None
        except ClientError as error:
            raise Stop(
                f"{asked.what} {asked.email}: {error.response['Error']['Code']}.",
                error.response["Error"]["Message"],
                NEXT.get(error.response["Error"]["Code"], "correct that, then try again."),
            ) from None


if __name__ == "__main__":
    main()
